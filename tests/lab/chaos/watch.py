"""What a viewer shows of one job, kept by the rules of the contract. No I/O."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

FINAL = {"job.completed", "job.failed", "job.cancelled"}


@dataclass
class Watch:
    """`text` is on the screen; `status` is the end as the viewer learned it, "" before.

    `streamed`: the pieces of the last attempt that had come before the end. `contradiction`: something that was
    said after the end and does not agree with it.
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
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: dict[str, Any]) -> bool:
        """Take an event, once and in its order. False when one before it was missed: ask for it."""
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
        """Take the end from the job's row, when its event did not come."""
        if not self.status and f"job.{row['status']}" in FINAL:
            if row["attempt"] > self.attempt:
                self.attempt, self.text = row["attempt"], ""
            self.was_polled = True
            self._end(row["status"], row.get("answer"))

    def _end(self, status: str, answer: str | None) -> None:
        self.status, self.streamed = status, self.text
        self.text = self.text if answer is None else answer
        self.ended.set()

    def _compare(self, event: dict[str, Any]) -> None:
        """After the end, earlier events may come again; a new attempt or another end must not."""
        is_end = event["type"] in FINAL
        if event["attempt"] > self.attempt:
            self.contradiction = f"{event['type']} of attempt {event['attempt']} after the end of {self.attempt}"
        elif is_end and (event["type"] != f"job.{self.status}" or (event.get("answer") or self.text) != self.text):
            self.contradiction = f"two ends: {self.status}, then another {event['type']}"
