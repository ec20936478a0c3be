"""The events that viewers are sent about a job: one typed model for each event of the wire contract."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from jobs.models import AiJob


class Place(NamedTuple):
    """Where an event stands: events are ordered by attempt, then by seq, which starts at 1 and has no holes."""

    attempt: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "attempt-seq". ValueError when it is something else."""
        attempt, seq = text.split("-")
        return cls.of(int(attempt), int(seq))

    @classmethod
    def of(cls, attempt: object, seq: object) -> Place:
        """A place named by a client. ValueError for anything but two numbers that Redis can hold."""
        for number in (attempt, seq):
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**63:
                raise ValueError("not a place in a job's events")
        return cls(attempt, seq)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


START = Place(0, 0)


class Event(BaseModel):
    """What happened, without its place. Keys are as on the wire."""

    model_config = ConfigDict(extra="forbid")


class Started(Event):
    type: Literal["job.started"] = "job.started"


class Progress(Event):
    type: Literal["job.progress"] = "job.progress"
    step: str


class Delta(Event):
    type: Literal["job.delta"] = "job.delta"
    text: str


class Retrying(Event):
    type: Literal["job.retrying"] = "job.retrying"
    reason: str
    retryAt: str


class Usage(Event):
    """Tokens of all upstream calls of the job, over all its attempts."""

    inputTokens: int
    outputTokens: int


class Error(Event):
    code: str
    message: str


class Completed(Event):
    """`shown` is what the job's kind shows of the result; its keys stand beside the others on the wire."""

    type: Literal["job.completed"] = "job.completed"
    shown: dict[str, Any]
    usage: Usage


class Failed(Event):
    type: Literal["job.failed"] = "job.failed"
    error: Error
    retryable: bool


class Cancelled(Event):
    """`answer` is the text that was written before the job was cancelled."""

    type: Literal["job.cancelled"] = "job.cancelled"
    answer: str


FINAL = {"job.completed", "job.failed", "job.cancelled"}


_AT = '"at":"'


class Frame(NamedTuple):
    """An event of a job at its place, as the JSON text that is sent."""

    job_id: str
    place: Place
    is_final: bool
    text: str

    @property
    def at(self) -> datetime:
        """When it happened. No text of people or models precedes it in the frame."""
        begin = self.text.index(_AT) + len(_AT)
        return datetime.fromisoformat(self.text[begin : self.text.index('"', begin)])

    @classmethod
    def read(cls, job_id: str, place: Place, text: str) -> Frame:
        """Read a frame that Redis kept or pushed. ValueError when the text is not that event of that job."""
        body = json.loads(text)
        if not isinstance(body, dict) or (body.get("jobId"), body.get("attempt"), body.get("seq")) != (job_id, *place):
            raise ValueError("not a frame of this job at this place")
        if not isinstance(body.get("type"), str) or _AT not in text:
            raise ValueError("a frame without its type or time")
        frame = cls(job_id, place, body["type"] in FINAL, text)
        if frame.at.tzinfo is None:
            raise ValueError("a frame whose time has no zone")
        return frame

    @classmethod
    def unpack(cls, packed: object) -> Frame:
        """Read the plain list that a frame becomes in a Channels message. ValueError when it is something else."""
        try:
            job_id, (attempt, seq), _, text = cast(Any, packed)
            return cls.read(job_id, Place.of(attempt, seq), text)
        except (TypeError, RecursionError):
            raise ValueError("not a frame") from None


def frame(job: AiJob, place: Place, event: Event) -> Frame:
    """Put an event at its place."""
    body, job_id = dict(vars(event)), str(job.pk)
    shown = body.pop("shown", {})
    wire = {
        "type": body.pop("type"),
        "jobId": job_id,
        "kind": job.kind,
        "attempt": place.attempt,
        "seq": place.seq,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **shown,
        **body,
    }
    return Frame(job_id, place, wire["type"] in FINAL, to_json(wire).decode())
