"""No kind of job blocks the worker's event loop.

asyncio's debug mode reports slow steps; the worker reports each use of a synchronous client (watched.py).
"""

import os
import re
from pathlib import Path

import django_rq
import pytest
from django.utils import timezone
from rq.results import Result

from accounts.people import SYSTEM
from conversations.kinds import MAX_UNSUMMARISED_MESSAGES
from conversations.models import Conversation, Message
from devstack.demo import personas as demo_personas
from jobs import kinds
from jobs.models import AiJob
from jobs.submission import Submission, submit, submit_once
from landing.models import Counter, FaqEntry
from personas import actions as persona_actions
from personas.models import Profile
from tests.jobs.worker import foreign, watched
from tests.landing.conftest import Visitor
from tests.personas.conftest import MAKER, new_profile
from tests.support import ask, unique, wait_for
from tests.tutors.conftest import copilot, tutor  # noqa: F401  (fixtures)
from tutors.models import Draft

ANSWERS = 30
ROUNDS = 8
WORKER = ("--worker-class", "tests.jobs.worker.watched.Worker")


class Log:
    """The log of the workers since this object was created."""

    def __init__(self):
        self._path = Path(os.environ["DEV_DATA"]) / "logs" / "rqworker.log"
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    @property
    def text(self):
        return self._path.read_bytes()[self._begin :].decode()

    @property
    def slow_steps(self):
        """What held the event loop for more than 0.1 s: coroutines, and the line at which they awaited again."""
        steps = re.findall(r"Executing (.+) took \d+\.\d+ seconds", self.text)
        return {re.sub(r".*coro=<(.+? at .+?)>.*", r"\1", step) for step in steps}

    @property
    def synchronous_calls(self):
        return set(re.findall(rf"{watched.MARK} (.+)", self.text))


class Everybody:
    """Learners, a tutor, a visitor and staff, who together cause jobs of every kind."""

    def __init__(self, simulator, api, learner, tutors_copilot, course, other_course):
        self.simulator = simulator
        self.api, self.learner, self.copilot = api, learner, tutors_copilot
        self.course, self.other_course = course, other_course

    def work(self):
        """Cause a job of each kind, many of them concurrently, and wait for their ends."""
        self.simulator.reset()
        began = timezone.now()
        self._ask_in_a_long_conversation()
        ask(self.api, self.course)
        Visitor().ask()
        answers = {"json": {"answers": MAKER}, "headers": {"Idempotency-Key": unique("key")}}
        assert self.api.post("/api/personas/profile", **answers).status_code == 202
        new_profile()  # the batch renews it
        persona_actions.renew_all()
        self.other_course.passages.filter(pk=self.other_course.passages.earliest("pk").pk).update(embedding=None)
        self._submit("assistant.embedding", courseId=self.other_course.pk)
        self._submit("jobs.pruning")
        self._draft_twice()
        # Kinds that other test modules registered are left out.
        expected = {name for name in kinds.names() if not name.startswith("test.")}
        jobs = AiJob.objects.filter(created_at__gte=began)
        done = jobs.filter(status="completed").values_list("kind", flat=True)
        wait_for(lambda: not jobs.active().exists(), 30)
        assert set(done) == expected and not jobs.exclude(status="completed").exists()

    def _ask_in_a_long_conversation(self):
        """A follow-up, its answer, suggestions and a summary."""
        talk = Conversation.objects.create(surface="assistant", owner=self.learner, course=self.course, title="Joins")
        roles = ["user", "assistant"] * (MAX_UNSUMMARISED_MESSAGES // 2)
        Message.objects.bulk_create(Message(conversation=talk, role=role, text="What is a join?") for role in roles)
        ask(self.api, self.course, "And what does COALESCE return?", conversationId=str(talk.pk))

    def _draft_twice(self):
        self.copilot.post("Draft a reply to: what does COALESCE return?")
        draft = wait_for(self.copilot.drafts)[0]
        assert self.copilot.change(draft, "POST", "regenerate").status_code == 202
        wait_for(lambda: not AiJob.objects.active().filter(kind="tutors.redraft").exists())
        assert self.copilot.change(draft, "POST", "discard").status_code == 200

    def _submit(self, kind, **payload):
        submission = Submission(SYSTEM)
        submit_once(submission, lambda: submit(submission, kinds.get(kind), payload))


@pytest.fixture
def everybody(simulator, api, learner, copilot, sql_course, bees_course):  # noqa: F811
    demo_personas.load()
    entry = FaqEntry.objects.create(question="How much is it?", answer="The course is for those who work with data.")
    yield Everybody(simulator, api, learner, copilot, sql_course, bees_course)
    entry.delete()
    for model in (Counter, Conversation, Draft, Profile):
        model.objects.all().delete()


def answer_many(everybody):
    everybody.simulator.set(first_token=0.3, token_interval=0.02, answer_tokens=20)
    jobs = [ask(everybody.api, everybody.course)["jobId"] for _ in range(ANSWERS)]
    wait_for(lambda: AiJob.objects.filter(pk__in=jobs, status="completed").count() == ANSWERS, 30)


def one_round(everybody):
    log = Log()
    answer_many(everybody)
    everybody.work()
    return log.slow_steps


def test_nothing_synchronous_runs_on_the_event_loop(platform, everybody):
    all_of_it = Log()
    with platform.worker(*WORKER, PYTHONASYNCIODEBUG="1", JOBS_ALLOWED_FUNCTIONS=foreign.ALLOWED):
        everybody.work()  # the first round has imports and first connections
        suspects = one_round(everybody)
        for _ in range(ROUNDS):
            if suspects:  # A blocking step appears in every round; a busy machine delays different steps.
                suspects &= one_round(everybody)
        said = all_of_it.text

        log = Log()  # Checks that the detection works.
        for function in (foreign.block_the_loop, foreign.count_users_on_the_loop, foreign.ping_redis_on_the_loop):
            blocking = django_rq.get_queue("background").enqueue(function)
            wait_for(lambda job=blocking: Result.fetch_latest(job))
        wait_for(lambda: log.slow_steps)
    ours = {call for call in all_of_it.synchronous_calls if "from tests/jobs/worker/foreign.py" not in call}
    assert not suspects
    assert not ours
    assert "SynchronousOnlyOperation" not in said
    seen = " ".join(all_of_it.synchronous_calls - ours)
    assert "redis.connection.send_packed_command" in seen and "django.db.backends.base.base.cursor" in seen
