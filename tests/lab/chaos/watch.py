"""What a viewer shows of one job, by the rules of the contract (docs/architecture.md). No I/O."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

FINAL = {"job.completed", "job.failed", "job.cancelled"}


@dataclass
class Watch:
    """`text` is what the viewer shows; `status` is the final status that it learned, "" before.

    `streamed`: the text of the deltas of the last attempt. `contradiction`: an event after the end that does not agree
    with it.
    """

    text: str = ""
    attempt: int = 0
    seq: int = 0
    status: str = ""
    streamed: str = ""
    was_polled: bool = False
    contradiction: str = ""
    gap_asked: float = 0.0
    last_news: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0  # when it learned the end, as a Unix time
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: dict[str, Any]) -> bool:
        """Apply an event once and in order. Returns False if an earlier one was missed and has to be requested."""
        if self.status:
            self._compare(event)
            return True
        if event["attempt"] > self.attempt:
            self.attempt, self.seq, self.text = event["attempt"], 0, ""
        if event["attempt"] < self.attempt or event["seq"] <= self.seq:
            return True
        if event["type"] not in FINAL and event["seq"] > self.seq + 1:
            return False
        self.seq, self.last_news = event["seq"], time.monotonic()
        self.text += event.get("text", "")
        if event["type"] in FINAL:
            self._end(event["type"].removeprefix("job."), event.get("answer"))
        return True

    def adopt(self, row: dict[str, Any]) -> None:
        """Take the end from the job's row if its event has not arrived."""
        if not self.status and f"job.{row['status']}" in FINAL:
            if row["attempt"] > self.attempt:
                self.attempt, self.text = row["attempt"], ""
            self.was_polled = True
            self._end(row["status"], row.get("answer"))

    def _end(self, status: str, answer: str | None) -> None:
        self.status, self.streamed, self.ended_at = status, self.text, time.time()
        self.text = self.text if answer is None else answer
        self.ended.set()

    def _compare(self, event: dict[str, Any]) -> None:
        """Check an event after the end: earlier events may be repeated; a new attempt or another end is wrong."""
        is_end = event["type"] in FINAL
        if event["attempt"] > self.attempt:
            self.contradiction = f"{event['type']} of attempt {event['attempt']} after the end of {self.attempt}"
        elif is_end and (event["type"] != f"job.{self.status}" or (event.get("answer") or self.text) != self.text):
            self.contradiction = f"two ends: {self.status}, then another {event['type']}"
