"""The simulator as the benchmark uses it: its latencies, and what it says each answer took."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import Any

import aiohttp

DELTAS = 150
JOURNAL = 2000  # requests that the simulator remembers
ANSWER_CALLS = ("embedding", "rewrite", "answer")
_NUMBER = re.compile(r"\(no\. (\d+)\)")


@dataclass(frozen=True)
class Latencies:
    """What an answer takes upstream, in seconds: its embedding, its first token, its stream after that.

    A follow-up is rewritten while it is embedded.
    """

    embedding: float
    first_token: float
    stream: float
    rewrite: float = 0.0

    @property
    def total(self) -> float:
        return max(self.embedding, self.rewrite) + self.first_token + self.stream


REALISTIC = Latencies(embedding=0.2, first_token=0.5, stream=3.0)
AT_ONCE = Latencies(0, 0, 0)
OLD = Latencies(embedding=0.5, first_token=1.0, stream=4.5)  # the middle of the replaced system's 3 to 8 s
FOLLOW_UP = Latencies(rewrite=2.0, embedding=0.5, first_token=0.02, stream=2.98)  # one that used to take two calls
# The same as a machine three times as fast would see it, or as near to that as this one can show: the work for each
# answer is the same and more, the time for it three times as long.
UNHURRIED = Latencies(*(3 * seconds for seconds in astuple(FOLLOW_UP)))
LONG = Latencies(embedding=0.5, first_token=1.0, stream=18.5)  # many in flight, few begun and ended in a second


@dataclass
class Upstream:
    """What the upstream took for one answer: seconds of all its calls, and when its first token left."""

    seconds: float = 0.0
    first_token_at: float = 0.0


def numbered(question: str, number: int) -> str:
    """The question with its number, by which its calls are recognised in the simulator's journal."""
    return f"{question} (no. {number})"


class Control:
    """The simulator's control API."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/control"

    async def begin(self, latencies: Latencies, deltas: int = DELTAS) -> None:
        """Forget what was seen and answer with these latencies from now on."""
        settings = {
            "first_token": latencies.first_token,
            "token_interval": latencies.stream / max(1, deltas - 1),
            "embedding_latency": latencies.embedding,
            "rewrite_latency": latencies.rewrite,
            "answer_tokens": deltas,
        }
        await self._call("POST", "/reset")
        await self.change(**settings)

    async def change(self, **settings: float | None) -> None:
        """Change these of the simulator's settings and leave the others."""
        await self._call("PATCH", "", json={"settings": settings})

    async def counters(self) -> dict[str, Any]:
        """What was counted since `begin`."""
        answer: dict[str, Any] = (await self._call("GET", ""))["counters"]
        return answer

    async def statuses(self, model: str, since: float) -> list[int]:
        """The HTTP status of each request for this model that has come since that moment and has ended."""
        seen = (await self._call("GET", f"/requests?last={JOURNAL}&bodies=false"))["requests"]
        ours = [each for each in seen if each["model"] == model and each["received_at"] >= since]
        return [each["status"] for each in ours if each["status"]]

    async def timings(self) -> dict[int, Upstream]:
        """For each question's number, what the upstream took for it since `begin`."""
        seen: dict[int, Upstream] = {}
        for request in (await self._call("GET", f"/requests?last={JOURNAL}"))["requests"]:
            if request["purpose"] not in ANSWER_CALLS:
                continue  # suggestions of what to ask next come after the answer
            answer = seen.setdefault(number_of(request), Upstream())
            answer.seconds += request["finished_at"] - request["received_at"]
            if request["purpose"] == "answer":
                answer.first_token_at = request["first_token_at"]
        return seen

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        async with self._http.request(method, self._url + path, **options) as response:
            response.raise_for_status()
            return await response.json()


def number_of(request: dict[str, Any]) -> int:
    """The number of the question that a request of the journal was made for; -1 for one of no question."""
    body = request["body"]
    text = body["input"][0] if "input" in body else body["messages"][-1]["content"]
    return number_in(text)


def number_in(text: str) -> int:
    """The number in a text that carries a question; -1 when there is none."""
    found = _NUMBER.search(text)
    return int(found[1]) if found else -1
