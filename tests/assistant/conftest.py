"""Questions posted to the web process, with their jobs run in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.models import AiJob
from tests.support import Json, Simulator, ask, perform


class Desk:
    """Asks questions and runs their jobs on request. `prompt` is the prompt of the newest answer."""

    def __init__(self, api, course, simulator: Simulator) -> None:
        self.api, self.course, self.simulator = api, course, simulator

    def answer(self, question: str, **more) -> Json:
        """The body of the 202, updated with the completed job."""
        accepted = ask(self.api, self.course, question, **more)
        self.run(accepted["jobId"])
        return accepted | self.api.get(accepted["links"]["self"]).json()

    def run(self, job_id) -> AiJob:
        perform(job_id)
        return AiJob.objects.get(pk=job_id)

    def conversation(self, conversation_id: str) -> Json:
        return self.api.get(f"/api/conversations/{conversation_id}").json()

    @property
    def prompt(self) -> str:
        [*_, request] = [r for r in self.simulator.requests() if r["purpose"] == "answer"]
        return request["body"]["messages"][0]["content"]


@pytest.fixture
def desk(api, sql_course, simulator) -> Desk:
    return Desk(api, sql_course, simulator)


@pytest.fixture
def count_purposes(simulator) -> Callable[[str], int]:
    return lambda purpose: sum(request["purpose"] == purpose for request in simulator.requests())
