"""People whose questions do not need the model that is down, while one is: they have to be answered meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.lab.chaos.people import POST_TIMEOUT, Observations

EVERY_SECONDS = 1.0
# What they ask for, and the models that it needs, by role. A learner's first question needs all but the fast model.
LANDING, PROFILE = "landing.answer", "personas.profile"
ASKED = {"fast": LANDING, "embedding": LANDING, "chat": PROFILE}
NEEDED = {"fast": ("chat", "embedding"), "embedding": ("chat",), "chat": ("fast",)}


class Bystanders:
    """Visitors of the landing page, and learners who fill in the questionnaire."""

    def __init__(self, http: aiohttp.ClientSession, tokens: Sequence[str], observations: Observations) -> None:
        self._http = http
        self._tokens = itertools.cycle(tokens)
        self._observations = observations
        self._answers: dict[str, str] = {}

    async def ask(self, role: str) -> None:
        """Ask again and again for what does not need the model of this role, until cancelled."""
        while True:
            try:
                await (self._visit() if ASKED[role] == LANDING else self._fill_in())
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                self._observations.counts["bystanders' POSTs cut off"] += 1
            await asyncio.sleep(EVERY_SECONDS)

    async def _visit(self) -> None:
        await self._post("/api/landing-assistant/query", {"question": "What does the SQL course cost?"}, {})

    async def _fill_in(self) -> None:
        headers = {"Authorization": f"Token {next(self._tokens)}"}
        if not self._answers:
            url = "/api/personas/questionnaire"
            async with self._http.get(url, headers=headers, timeout=POST_TIMEOUT) as response:
                response.raise_for_status()
                asked = (await response.json())["questions"]
            self._answers = {q["key"]: (q["options"] or ["I like examples."])[0] for q in asked}
        await self._post("/api/personas/profile", {"answers": self._answers}, headers)

    async def _post(self, url: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        # Without a cookie each is a new visitor.
        options: Any = {"json": body, "headers": headers, "timeout": POST_TIMEOUT}
        async with self._http.post(url, **options) as response:
            if response.status != 202:
                self._observations.counts[f"bystanders' POSTs answered {response.status}"] += 1
