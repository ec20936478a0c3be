"""AsyncWorker works with RQ's and django-rq's tools and with foreign jobs."""

import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import django_rq
import pytest
from django.core.management import call_command
from rq import Callback, Retry, Worker
from rq.command import (
    send_command,
    send_shutdown_command,
    send_stop_execution_command,
    send_stop_job_command,
)
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.results import Result

from jobs.backends import connections
from jobs.models import AiCall, AiJob
from tests.jobs.worker import foreign
from tests.support import ask, wait_for

BACKGROUND, DEFAULT, INTERACTIVE = 0, 1, 2  # django-rq numbers the queues by name
MISSING = "tests.jobs.worker.foreign.nothing"


@pytest.fixture(scope="module")
def redis(platform, sql_course):
    """A Redis client, with a worker running that may run foreign jobs. The course's own job has run before."""
    connection = connections.redis()
    with platform.worker(JOBS_ALLOWED_FUNCTIONS=f"{foreign.ALLOWED},{MISSING}"):
        yield connection
    connection.delete("rq:suspended", "test:notes")


@pytest.fixture
def queue(redis):
    """The queue for foreign jobs, which our own background jobs use too."""
    return django_rq.get_queue("background")


@pytest.fixture
def slow(simulator):
    simulator.set(token_interval=0.1)


def rq(*arguments):
    program = Path(sys.executable).with_name("rq")
    command = [program, *arguments, "--url", os.environ["REDIS_URL"]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def status(job_id):
    return AiJob.objects.get(pk=job_id).status


def start_answer(client, course):
    """Start an answer and wait until it is being streamed; returns its job's id."""
    job_id = ask(client, course)["jobId"]
    wait_for(lambda: status(job_id) == "running")
    wait_for(lambda: (job := rq_job(job_id)) and job.worker_name)
    return job_id


def rq_job(job_id):
    with suppress(NoSuchJobError):
        return Job.fetch(f"{job_id}-1", connection=connections.redis())


def state_of_worker():
    [worker] = Worker.all(connection=connections.redis())
    return worker.get_state()


def streams(simulator):
    """The number of answers that have started to arrive."""
    return sum(r["purpose"] == "answer" and bool(r["first_token_at"]) for r in simulator.requests())


def result(job):
    """Wait for the job's result and return it."""
    return wait_for(lambda: Result.fetch_latest(job))


class TestTools:
    def test_rq_info_sees_the_worker(self, redis):
        output = rq("info")
        assert "1 workers, " in output
        assert "interactive" in output

    def test_worker_is_busy_while_it_has_a_job_and_idle_afterwards(self, redis, queue):
        job = queue.enqueue(foreign.wait_for, 1)
        wait_for(lambda: state_of_worker() == "busy")
        assert Worker.all(connection=redis)[0].get_current_job_id() == job.id
        wait_for(lambda: state_of_worker() == "idle")

    def test_admin_lists_queue_worker_and_job(self, redis, platform, api, staff, sql_course, slow):
        job_id = start_answer(api, sql_course)
        name = Worker.all(connection=redis)[0].name
        with platform.browser_session(staff) as browser:
            pages = {
                "": "interactive",
                "stats.json": '"workers": 1',
                f"queues/{INTERACTIVE}/": "interactive",
                f"queues/{INTERACTIVE}/started/": f"{job_id}-1",
                f"workers/{INTERACTIVE}/": name,
                f"workers/{INTERACTIVE}/rq:worker:{name}/": f"{job_id}-1",
                f"queues/{INTERACTIVE}/{job_id}-1/": "run_job",
            }
            for path, expected in pages.items():
                page = browser.get(f"/admin/django-rq/{path}")
                assert (page.status_code, expected in page.text) == (200, True), path

    def test_admin_lists_finished_jobs_while_the_worker_is_busy(
        self, redis, queue, platform, api, staff, sql_course, slow
    ):
        finished, failed = queue.enqueue(foreign.add, 1, 2), queue.enqueue(foreign.fail)
        result(finished), result(failed)
        running = queue.enqueue(foreign.wait_for, 20)
        waiting = queue.enqueue(foreign.add, 1, 2, depends_on=running)
        later = queue.enqueue_in(timedelta(hours=1), foreign.add, 1, 2)
        wait_for(lambda: running.get_status() == "started")
        start_answer(api, sql_course)
        jobs = {"finished": finished, "failed": failed, "started": running, "deferred": waiting, "scheduled": later}
        try:
            with platform.browser_session(staff) as browser:
                for registry, job in jobs.items():
                    page = browser.get(f"/admin/django-rq/queues/{BACKGROUND}/{registry}/")
                    assert (page.status_code, job.id in page.text) == (200, True), registry
                    for other in (DEFAULT, INTERACTIVE):  # our own jobs are listed only while they run
                        assert browser.get(f"/admin/django-rq/queues/{other}/{registry}/").status_code == 200
            assert state_of_worker() == "busy"
        finally:
            send_stop_job_command(redis, running.id)
            later.delete()
            waiting.delete()
            result(running)

    def test_admin_is_for_staff(self, platform, learner):
        with platform.browser_session(learner) as browser:
            assert browser.get("/admin/django-rq/").status_code == 302


def by_rq(redis):
    rq("suspend")
    return lambda: rq("resume")


def by_manage(redis):
    call_command("rqsuspend")
    return lambda: call_command("rqresume")


class TestSuspension:
    @pytest.mark.parametrize("suspend", [by_rq, by_manage])
    def test_suspended_worker_finishes_running_jobs_and_starts_none(self, redis, api, sql_course, simulator, suspend):
        simulator.set(token_interval=0.01)
        first = start_answer(api, sql_course)
        resume = suspend(redis)
        try:
            second = ask(api, sql_course)["jobId"]
            wait_for(lambda: state_of_worker() == "suspended")
            wait_for(lambda: status(first) == "completed")
            wait_for(lambda: f"{second}-1" in django_rq.get_queue("interactive").job_ids)
            assert status(second) == "pending"
        finally:
            resume()
        wait_for(lambda: status(second) == "completed")


class TestStopping:
    def test_stop_job_cancels_the_named_job(self, redis, api, sql_course, slow, simulator):
        *others, job_id, last = [start_answer(api, sql_course) for _ in range(5)]
        wait_for(lambda: streams(simulator) == 5)
        send_stop_job_command(redis, f"{job_id}-1")
        wait_for(lambda: status(job_id) == "cancelled", 3)
        assert AiJob.objects.filter(pk__in=[*others, last], status="running").count() == 4
        assert [call.outcome for call in AiCall.objects.filter(job=job_id, purpose="answer")] == ["cancelled"]
        wait_for(lambda: rq_job(job_id).get_status() == "stopped")
        simulator.set(token_interval=0.001)

    def test_stopped_answer_runs_again_only_on_retry(self, redis, api, sql_course, slow, simulator):
        job_id = start_answer(api, sql_course)
        send_stop_job_command(redis, f"{job_id}-1")
        wait_for(lambda: status(job_id) == "cancelled")
        simulator.set(token_interval=0.001)
        other = ask(api, sql_course)["jobId"]
        wait_for(lambda: status(other) == "completed")
        row = AiJob.objects.get(pk=job_id)
        assert (row.status, row.attempt, row.crashes) == ("cancelled", 1, 0)
        assert api.post(f"/api/jobs/{job_id}/retry").status_code == 202
        wait_for(lambda: status(job_id) == "completed")

    def test_several_jobs_are_stopped_at_once(self, redis, api, sql_course, slow):
        jobs = [start_answer(api, sql_course) for _ in range(4)]
        for job_id in jobs:
            send_stop_job_command(redis, f"{job_id}-1")
        wait_for(lambda: [rq_job(job_id).get_status() for job_id in jobs] == ["stopped"] * 4)
        assert [status(job_id) for job_id in jobs] == ["cancelled"] * 4

    def test_admins_stop_button(self, redis, platform, api, staff, sql_course, slow):
        job_id = start_answer(api, sql_course)
        with platform.browser_session(staff) as browser:
            browser.post(f"/admin/django-rq/queues/{INTERACTIVE}/{job_id}-1/stop/")
        wait_for(lambda: status(job_id) == "cancelled")

    def test_stop_execution(self, redis, queue, api, sql_course, slow):
        job_id = start_answer(api, sql_course)
        [execution] = rq_job(job_id).get_executions()
        send_stop_execution_command(redis, f"{job_id}-1", execution.id)
        wait_for(lambda: status(job_id) == "cancelled")

    def test_plain_functions_cannot_be_stopped_and_run_to_their_end(self, redis, queue):
        job = queue.enqueue(foreign.work_for, 2, on_stopped=Callback(foreign.note))
        wait_for(lambda: job.get_status() == "started")
        send_stop_job_command(redis, job.id)
        assert result(job).type == Result.Type.SUCCESSFUL
        assert redis.lpop("test:notes") is None

    def test_foreign_coroutines_are_stopped_and_their_callback_runs(self, redis, queue):
        job = queue.enqueue(foreign.wait_for, 60, on_stopped=Callback(foreign.note))
        bystander = queue.enqueue(foreign.wait_for, 0.8)
        wait_for(lambda: job.get_status() == "started" and bystander.get_status() == "started")
        send_stop_job_command(redis, job.id)
        assert result(job).type == Result.Type.FAILED
        assert job.get_status() == "stopped"
        assert job.id in FailedJobRegistry(queue=queue)
        assert redis.lpop("test:notes").decode() == job.id
        assert result(bystander).type == Result.Type.SUCCESSFUL

    def test_commands_for_jobs_that_are_not_running_are_ignored(self, redis, queue):
        name = Worker.all(connection=redis)[0].name
        send_command(redis, name, "stop-job", job_id="nothing")
        send_command(redis, name, "stop-execution", job_id="nothing", execution_id="nothing")
        send_command(redis, name, "kill-horse")
        assert result(queue.enqueue(foreign.add, 2, 2)).return_value == 4


class TestForeignJobs:
    @pytest.mark.parametrize("function", [foreign.add, foreign.add_later])
    def test_succeed_and_keep_their_result(self, queue, function):
        job = queue.enqueue(function, 2, b=3)
        assert result(job).return_value == 5
        assert (job.get_status(), job.id in FinishedJobRegistry(queue=queue)) == ("finished", True)
        assert 400 < queue.connection.ttl(job.key) <= 500

    @pytest.mark.parametrize("function", [foreign.fail, foreign.fail_later])
    def test_fail_with_their_traceback(self, queue, function):
        job = queue.enqueue(function)
        assert "ValueError: no luck" in result(job).exc_string
        assert (job.get_status(), job.id in FailedJobRegistry(queue=queue)) == ("failed", True)

    def test_fail_without_the_values_that_their_error_quotes(self, queue):
        text = result(queue.enqueue(foreign.fail_with_words)).exc_string
        assert text.endswith("ValueError: no number: [left out]") and "foreign.py" in text

    @pytest.mark.parametrize("function", [foreign.work_for, foreign.wait_for])
    def test_are_stopped_at_their_timeout(self, queue, function):
        job = queue.enqueue(function, 60, job_timeout=1)
        assert "exceeded maximum timeout value (1 seconds)" in result(job).exc_string
        assert job.get_status() == "failed"

    def test_may_run_without_a_time_limit(self, queue):
        assert result(queue.enqueue(foreign.add_later, 1, 2, job_timeout=-1)).return_value == 3

    @pytest.mark.parametrize("function", [foreign.leave, foreign.leave_later])
    def test_cannot_exit_the_worker(self, queue, function):
        assert "SystemExit(3)" in result(queue.enqueue(function)).exc_string
        assert result(queue.enqueue(foreign.add_later, 1, 2)).return_value == 3

    def test_of_a_missing_function_fail(self, queue):
        assert "ValueError" in result(queue.enqueue(MISSING)).exc_string

    def test_with_unreadable_data_fail(self, redis, queue):
        call_command("rqsuspend")
        try:
            job = queue.enqueue(foreign.add, 1, 2)
            wait_for(lambda: state_of_worker() == "suspended")
            redis.hset(job.key, "data", b"garbage")
        finally:
            call_command("rqresume")
        assert result(job).exc_string == "Not run: it cannot be read as JSON."

    @pytest.mark.parametrize("function", [foreign.own_id, foreign.own_id_later])
    def test_can_get_their_current_job(self, queue, function):
        job = queue.enqueue(function)
        assert result(job).return_value == job.id

    def test_are_retried(self, redis, queue):
        job = queue.enqueue(foreign.fail, retry=Retry(max=2), on_failure=Callback(foreign.note))
        assert "no luck" in result(job).exc_string
        assert redis.lrange("test:notes", 0, -1) == [job.id.encode()] * 3
        redis.delete("test:notes")

    def test_callbacks_are_called(self, redis, queue):
        job = queue.enqueue(foreign.add, 1, 2, on_success=Callback(foreign.note))
        assert redis.blpop("test:notes", 5)[1].decode() == job.id
        job = queue.enqueue(foreign.add, 1, 2, on_success=Callback(foreign.refuse))
        assert "this callback fails" in result(job).exc_string

    def test_return_database_connections(self, queue):
        jobs = [queue.enqueue(foreign.count_users) for _ in range(30)]
        assert all(result(job).return_value >= 0 for job in jobs)

    def test_coroutines_may_not_use_the_database_on_the_event_loop(self, queue):
        assert "SynchronousOnlyOperation" in result(queue.enqueue(foreign.count_users_on_the_loop)).exc_string


def test_shutdown_command_ends_the_worker(redis, platform):
    with platform.worker("default") as process:
        [worker] = [w for w in Worker.all(connection=connections.redis()) if w.queue_names() == ["default"]]
        wait_for(
            lambda: redis.hget(worker.key, "state") == b"idle"
        )  # it receives commands slightly before it handles signals
        send_shutdown_command(connections.redis(), worker.name)
        assert process.wait(15) == 0
