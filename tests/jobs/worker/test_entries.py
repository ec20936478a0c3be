"""Whoever can write to Redis cannot make our processes run code: not workers, not the pages of django-rq."""

import json
import os
import pickle
import time
import zlib
from pathlib import Path

import django_rq
import pytest
from rq.command import PUBSUB_CHANNEL_TEMPLATE, send_shutdown_command
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.worker import Worker

from devstack.servers.processes import end
from jobs.backends import connections
from jobs.models import AiJob
from tests.jobs.worker.test_rq_worker import rq
from tests.support import ask, manage, wait_for

CLOSED = {"JOBS_ALLOWED_FUNCTIONS": "", "JOBS_REQUEUE_SECONDS": "1"}
SECRET = "words-of-a-person"


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A folder that exists once somebody has unpickled or called what was forged."""
    return tmp_path / "trap"


@pytest.fixture
def redis():
    connection = connections.redis()
    yield connection
    for key in connection.scan_iter("rq:*"):
        if not key.startswith(b"rq:worker"):
            connection.delete(key)


@pytest.fixture
def worker(platform, sql_course, redis):
    """A worker that runs nothing but our own jobs."""
    with platform.worker(**CLOSED) as process:
        yield process


class Log:
    """What workers have logged since this was made."""

    def __init__(self) -> None:
        self._path = Path(os.environ["DEV_DATA"]) / "logs" / "rqworker.log"
        self._from = self._path.stat().st_size if self._path.exists() else 0

    @property
    def text(self) -> str:
        return self._path.read_bytes()[self._from :].decode()


def forge(entry_id: str, data: bytes, *, queue: str = "interactive", push: bool = True, **fields) -> Job:
    """Write an entry as somebody who can write to Redis could."""
    redis = connections.redis()
    usual = {"origin": queue, "status": "queued", "enqueued_at": "2026-11-30T12:00:00.000000Z", "description": SECRET}
    fields = usual | {"data": zlib.compress(data)} | fields
    redis.hset(f"rq:job:{entry_id}", mapping=fields)
    if push:
        redis.rpush(f"rq:queue:{queue}", entry_id)
    return Job(entry_id, connection=redis)


def call(name, *args, instance=None, **kwargs) -> bytes:
    return json.dumps([name, instance, args, kwargs]).encode()


def is_gone(entry: Job) -> bool:
    return not connections.redis().exists(entry.key)


def failure(entry: Job) -> str:
    """Wait until the entry is listed as failed, and return the reason."""
    wait_for(lambda: entry.id in FailedJobRegistry("interactive", connection=connections.redis()))
    return entry.latest_result().exc_string


def assert_worker_answers(api, course) -> None:
    job_id = ask(api, course)["jobId"]
    wait_for(lambda: AiJob.objects.get(pk=job_id).status == "completed")


class TestWorker:
    def test_unpickles_nothing(self, worker, api, sql_course, trap):
        poison = pickle.dumps(Touch(trap))
        in_data = forge("a", pickle.dumps((Touch(trap), None, (), {})))
        in_meta = forge("b", call("os.mkdir", str(trap)), meta=poison, result=poison)
        assert failure(in_data) == "Not run: it cannot be read as JSON."
        assert failure(in_meta) == "Not run: it names a function that JOBS_ALLOWED_FUNCTIONS does not list."
        assert_worker_answers(api, sql_course)
        assert not trap.exists()

    @pytest.mark.parametrize(
        ("data", "fields"),
        [
            (call("os.mkdir", "{trap}"), {}),
            (call("mkdir", "{trap}", instance="os"), {}),
            (call("jobs.tasks.os.mkdir", "{trap}"), {}),
            (call("tests.jobs.worker.foreign.add", 1, 2), {}),
            (call("jobs.tasks.run_job", "no-uuid"), {}),
            (call("jobs.tasks.run_job", 5), {}),
            (call("jobs.tasks.run_job"), {}),
            (call("jobs.tasks.run_job", "00000000-0000-0000-0000-000000000000", runtime={}), {}),
            (call("jobs.tasks.run_job", "00000000-0000-0000-0000-000000000000"), {"success_callback_name": "os.mkdir"}),
            (call("jobs.tasks.run_job", "00000000-0000-0000-0000-000000000000"), {"stopped_callback_name": "os.mkdir"}),
            (
                call("jobs.tasks.run_job", "00000000-0000-0000-0000-000000000000"),
                {"webhooks": json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "finished"}])},
            ),
            (b'["jobs.tasks.run_job"]', {}),
            (b"[" * 100_000, {}),
            (b'{"a": 1}', {}),
            (b"", {}),
        ],
    )
    def test_refuses_what_is_not_allowed_and_goes_on(self, worker, api, sql_course, trap, data, fields):
        log = Log()
        entry = forge("forged", data.replace(b"{trap}", str(trap).encode()), **fields)
        assert failure(entry).startswith("Not run: ")
        assert_worker_answers(api, sql_course)
        assert not trap.exists()
        assert log.text.count("is not run") == 1
        assert SECRET not in log.text and "mkdir" not in log.text and "Traceback" not in log.text

    @pytest.mark.parametrize(
        "damage",
        [
            {"created_at": "yesterday"},
            {"status": "strange"},
            {"result_ttl": "for ever"},
            {"origin": b"\xff\xfe"},
            {"dependency_ids": "["},
        ],
    )
    def test_drops_an_entry_that_cannot_be_read(self, worker, api, sql_course, damage):
        log = Log()
        entry = forge("damaged", call("jobs.tasks.run_job", "x"), **damage)
        wait_for(lambda: is_gone(entry))
        assert_worker_answers(api, sql_course)
        assert log.text.count("is dropped") == 1 and "Traceback" not in log.text

    @pytest.mark.parametrize("entry_id", [b"no such entry", b"\xff\xfe", b"", b"a:b", b"../x"])
    def test_skips_ids_that_are_none(self, worker, api, sql_course, redis, entry_id):
        redis.rpush("rq:queue:interactive", entry_id)
        assert_worker_answers(api, sql_course)
        assert worker.poll() is None

    def test_goes_on_after_keys_of_another_type(self, platform, api, sql_course, redis):
        with platform.worker("interactive", **CLOSED) as process:
            redis.set("rq:job:typed", "text")
            redis.rpush("rq:queue:interactive", "typed")
            assert_worker_answers(api, sql_course)
            redis.delete("rq:queue:interactive", "rq:failed:interactive")
            redis.set("rq:queue:interactive", "text")
            redis.set("rq:failed:interactive", "text")
            job_id = ask(api, sql_course)["jobId"]
            wait_for(lambda: AiJob.objects.get(pk=job_id).status == "completed", 30)
            assert process.poll() is None

    def test_ignores_commands_that_cannot_be_read_and_obeys_others(self, worker, redis):
        [found] = [each for each in Worker.all(connection=redis) if each.pid == worker.pid]
        wait_for(lambda: redis.hget(found.key, "state") == b"idle")
        for message in ("no json", "[]", "{}", '{"command": []}', '{"command": "stop-execution", "execution_id": []}'):
            redis.publish(PUBSUB_CHANNEL_TEMPLATE % found.name, message)
        send_shutdown_command(redis, found.name)
        assert worker.wait(15) == 0

    @pytest.mark.parametrize("stock", ["rq.Worker", "rq.SimpleWorker"])
    def test_of_another_class_is_restricted_as_well(self, platform, sql_course, redis, trap, stock):
        forge("a", pickle.dumps((Touch(trap), None, (), {})), meta=pickle.dumps(Touch(trap)))
        forge("b", call("os.mkdir", str(trap)))
        forge("c", call("mkdir", str(trap), instance="os"))
        forge("d", call("jobs.tasks.run_job", "no-uuid"), failure_callback_name="os.mkdir")
        process = manage("rqworker", "interactive", "--worker-class", stock, "--burst")
        assert process.wait(60) == 0
        assert redis.zcard("rq:failed:interactive") == 4
        assert not trap.exists()

    def test_scheduler_reads_no_pickle(self, platform, sql_course, redis, trap):
        later = forge("later", call("os.mkdir", str(trap)), meta=pickle.dumps(Touch(trap)), push=False)
        redis.zadd("rq:scheduled:interactive", {"later": 1})
        process = manage("rqworker", "interactive", "--with-scheduler")
        try:
            assert "does not list" in failure(later)
        finally:
            end(process)
        assert not trap.exists()


class TestUpgrade:
    """Entries of the previous release are pickled. Their jobs are not lost."""

    @pytest.mark.parametrize("name", ["jobs.tasks.run_job", "jobs.runner.run_job"])
    def test_job_of_a_pickled_entry_is_enqueued_again(self, platform, api, sql_course, redis, name):
        jobs = [ask(api, sql_course)["jobId"] for _ in range(3)]
        for job_id in jobs:  # as the previous release wrote it
            redis.hset(f"rq:job:{job_id}-1", "data", zlib.compress(pickle.dumps((name, None, (job_id,), {}))))
        log = Log()
        with platform.worker(**CLOSED):
            wait_for(lambda: AiJob.objects.filter(pk__in=jobs, status="completed").count() == 3)
        assert {row.attempt for row in AiJob.objects.filter(pk__in=jobs)} == {1}
        assert "0 failed" in rq("info", "interactive")
        assert not redis.exists("rq:failed:interactive")
        assert log.text.count("it cannot be read as JSON") == 3

    def test_json_entry_of_the_previous_name_runs(self, worker, api, sql_course, redis):
        from rq import suspension

        suspension.suspend(redis)
        job_id = ask(api, sql_course)["jobId"]
        redis.hset(f"rq:job:{job_id}-1", "data", zlib.compress(call("jobs.runner.run_job", job_id)))
        suspension.resume(redis)
        wait_for(lambda: AiJob.objects.get(pk=job_id).status == "completed")

    def test_entry_of_the_previous_release_that_is_left_in_no_queue_is_in_nobodys_way(self, worker, api, sql_course):
        from rq import suspension

        redis = connections.redis()
        suspension.suspend(redis)
        job_id = ask(api, sql_course)["jobId"]
        redis.hset(f"rq:job:{job_id}-1", "data", pickle.dumps(("jobs.tasks.run_job", None, (job_id,), {})))
        redis.delete("rq:queue:interactive")
        suspension.resume(redis)
        wait_for(lambda: AiJob.objects.get(pk=job_id).status == "completed")


class TestPages:
    def test_unpickle_and_call_nothing(self, platform, staff, redis, trap):
        poison = pickle.dumps(Touch(trap))
        fields = {"meta": poison, "result": poison, "worker_name": "w", "failure_callback_name": "os.mkdir"}
        queues = ("background", "default", "interactive")
        for queue in queues:
            entry = f"of-{queue}"
            forge(entry, pickle.dumps((Touch(trap), None, (), {})), queue=queue, **fields)
            redis.hset(f"rq:job:{entry}", "status", "started")
            redis.zadd(f"rq:wip:{queue}", {f"{entry}:abandoned": 1})  # RQ calls its callback, on any page
            redis.xadd(f"rq:results:{entry}", {"type": 1, "return_value": poison.hex()})
            for registry in ("finished", "failed", "deferred", "scheduled"):
                redis.zadd(f"rq:{registry}:{queue}", {entry: time.time() + 1000})
        with platform.browser_session(staff) as browser:
            for path in ["", "stats.json", *(f"queues/{index}/" for index in range(3))]:
                assert browser.get(f"/admin/django-rq/{path}").status_code == 200, path
            for index, queue in enumerate(queues):
                for page in ("", "finished/", "failed/", "deferred/", "scheduled/", "started/", f"of-{queue}/"):
                    browser.get(f"/admin/django-rq/queues/{index}/{page}")
                browser.post(f"/admin/django-rq/queues/{index}/of-{queue}/stop/")
                browser.post(f"/admin/django-rq/queues/{index}/of-{queue}/requeue/")
                form = {"action": "stop", "job_ids": f"of-{queue}"}
                browser.post(f"/admin/django-rq/queues/{index}/actions/", data=form)
                browser.post(f"/admin/django-rq/queues/{index}/failed/clear/")
        assert manage("rqstats", "--json").wait(60) == 0
        assert not trap.exists()

    def test_results_are_json(self, platform, redis, trap):
        job = django_rq.get_queue("default").enqueue("math.sqrt", 4, result_ttl=60)
        with platform.worker("default", JOBS_ALLOWED_FUNCTIONS="math.sqrt"):
            assert wait_for(job.latest_result).return_value == 2
        assert json.loads(zlib.decompress(redis.hget(job.key, "data"))) == ["math.sqrt", None, [4], {}]
