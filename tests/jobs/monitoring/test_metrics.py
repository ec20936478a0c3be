"""/metrics: its values, who may read it, and that its totals stay correct."""

import re
import threading
from datetime import timedelta
from decimal import Decimal

import httpx2
import pytest
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis import RedisError

from jobs.backends import connections, upstream
from jobs.backends.faults import Faults
from jobs.lifecycle import transitions
from jobs.lifecycle.transitions import Failure
from jobs.models import AiCall, AiJob, Total
from jobs.monitoring import collector, metrics, totals
from tests.jobs.conftest import KIND
from tests.support import ROOT, Platform, ask, eventually, take_back_lost, wait_for

BUSY = Failure("upstream_busy", "Busy.", "429", retryable=True)


class Figures:
    """The samples of a scrape."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self.samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and at least these labels."""
        name = name if name.startswith("process_") else collector.PREFIX + name
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(found)


def get(**request):
    return metrics.metrics_page(None)(RequestFactory().get("/metrics", **request))


def scrape(client: httpx2.Client | None = None) -> Figures:
    response = client.get("/metrics") if client else get()
    assert response.status_code == 200
    return Figures(response.text)


def counted() -> Figures:
    totals.count(Faults())
    return scrape()


@pytest.fixture(autouse=True)
def no_totals(_database):
    Total.objects.all().delete()


def call(job: AiJob, **fields) -> AiCall:
    values = {"purpose": "answer", "model": "gpt-4.1-mini", "outcome": "ok", "duration_ms": 3000} | fields
    return AiCall.objects.create(job=job, attempt=1, started_at=timezone.now(), **values)


def claimed(engine) -> AiJob:
    run = transitions.claim(engine.submit().pk, "w")
    assert run
    return run


# --- End to end --------------------------------------------------------------------------------------------


async def test_question_is_counted_in_every_metric(platform: Platform, learner, sql_course):
    with platform.worker(), platform.client() as client, platform.client(learner) as api:
        sent = scrape(client)("events_sent_total", transport="socket")
        async with platform.socket(learner) as socket:
            assert scrape(client)("viewers", transport="socket") >= 1
            ask(api, sql_course)
            events = await socket.until()
        await eventually(lambda: scrape(client)("jobs_finished_total"))
        figures = scrape(client)
    answer = {"kind": "assistant.answer"}
    assert figures("jobs_finished_total", status="completed", **answer) == 1
    assert figures("jobs", **answer) == 0
    assert figures("job_wait_seconds_count", **answer) == figures("job_run_seconds_count", **answer) == 1
    assert 0 < figures("job_run_seconds_sum", **answer) < 20
    assert figures("calls_total", purpose="answer", outcome="ok") == 1
    assert figures("first_token_seconds_count", purpose="answer") == 1
    assert figures("rate_wait_seconds_count", purpose="answer") == 1
    assert figures("tokens_total", type="output") > 0
    assert 0 < figures("cost_dollars_total") < 0.1
    assert figures("workers") >= 1
    assert figures("events_sent_total", transport="socket") - sent >= len(events)  # plus those of a suggestion
    assert figures("event_lag_seconds_count", transport="socket") >= len(events)
    assert figures("process_resident_memory_bytes") > 0


def test_event_streams_are_counted_while_they_are_open(platform: Platform, api, learner, sql_course):
    job = ask(api, sql_course)  # no worker: the stream stays open
    with platform.client() as client:
        before = scrape(client)("viewers", transport="stream")
        with api.stream("GET", job["links"]["events"]):
            wait_for(lambda: scrape(client)("viewers", transport="stream") == before + 1)
        api.post(job["links"]["cancel"])
        wait_for(lambda: scrape(client)("viewers", transport="stream") == before)


# --- Access ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "secret", "Bearer ", "bearer secret\u00e9"])
def test_token_is_required_on_the_same_host_too(settings, authorization):
    settings.METRICS_TOKEN = "secret"
    response = get(headers={"Authorization": authorization} if authorization else {})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"course_ai" not in response.content


def test_token_gives_access_from_any_address_and_host_name(settings):
    settings.METRICS_TOKEN = "secret"
    response = get(headers={"Authorization": "Bearer secret", "Host": "10.0.0.7"}, REMOTE_ADDR="10.0.0.1")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_without_a_token_only_the_development_stack_serves_local_requests(settings):
    assert get().status_code == 200
    assert get(REMOTE_ADDR="10.0.0.1").status_code == 401
    settings.DEV_STACK = False
    assert get().status_code == 401


# --- Current state -----------------------------------------------------------------------------------------


def test_waiting_running_and_deferred_jobs(engine):
    entries, now = scrape()("queue_entries", queue="interactive"), timezone.now()
    engine.submit(run_after=now - timedelta(seconds=90))
    engine.submit(run_after=now + timedelta(seconds=90))
    claimed(engine)
    figures = scrape()
    assert (figures("jobs", kind=KIND, status="pending"), figures("jobs", kind=KIND, status="running")) == (2, 1)
    assert figures("jobs_waiting", queue="interactive", state="ready") == 1
    assert figures("jobs_waiting", queue="interactive", state="deferred") == 1
    assert 90 <= figures("oldest_job_seconds", queue="interactive") < 100
    assert figures("oldest_job_seconds", queue="background") == 0
    assert figures("queue_entries", queue="interactive") == entries + 3


def test_breakers_are_shown(engine):
    figures = scrape()
    assert figures("breaker", model="gpt-4.1-mini", state="closed") == 1
    assert figures("breaker", model="gpt-4.1-mini") == 1


def test_metrics_from_rows_work_without_redis(engine, monkeypatch):
    def refuse():
        raise RedisError

    engine.submit()
    with monkeypatch.context() as patched:
        patched.setattr(collector.connections, "redis", refuse)
        figures = scrape()
    assert (figures("up", part="redis"), figures("up", part="postgres"), figures("jobs", kind=KIND)) == (0, 1, 1)


def test_other_metrics_work_without_postgres(monkeypatch):
    def refuse():
        raise OperationalError

    monkeypatch.setattr(collector, "_pending", refuse)
    figures = scrape()
    assert (figures("up", part="redis"), figures("up", part="postgres")) == (1, 0)
    assert figures("process_open_fds") > 0


# --- Totals -------------------------------------------------------------------------------------------------


def test_ends_and_retries_are_counted_by_reason(engine):
    transitions.defer(claimed(engine), BUSY, timedelta())
    transitions.release(claimed(engine))
    failed = transitions.fail(claimed(engine), Failure("upstream_quota", "No.", "no credit"))
    transitions.retry(failed)
    transitions.request_cancel(engine.submit())
    lost = claimed(engine)
    AiJob.objects.filter(pk=lost.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    take_back_lost()
    figures = counted()
    reasons = ("upstream_busy", "released", "retried", "lost")
    assert [figures("job_retries_total", kind=KIND, reason=reason) for reason in reasons] == [1, 1, 1, 1]
    assert figures("jobs_finished_total", kind=KIND, status="failed", code="upstream_quota") == 1
    assert figures("jobs_finished_total", kind=KIND, status="cancelled") == 1
    assert figures("job_wait_seconds_count", kind=KIND) == 4, "who was cancelled while waiting never ran"


def test_job_that_failed_and_then_completed_counts_twice(engine):
    job = engine.submit()
    transitions.fail(transitions.claim(job.pk, "w"), BUSY)
    transitions.retry(job)
    engine.run(job)
    figures = counted()
    assert figures("jobs_finished_total", status="failed") == figures("jobs_finished_total", status="completed") == 1


def test_calls_are_summed_up_by_model(engine):
    job = engine.submit()
    call(job, input_tokens=100, cached_tokens=40, output_tokens=7, cost=Decimal("0.25"), first_token_ms=400)
    call(job, outcome="failed", error_code="upstream_busy", cost=Decimal(0))
    call(job, model="mystery-1", input_tokens=5, cost=None)
    figures = counted()
    mini = {"model": "gpt-4.1-mini"}
    assert [figures("tokens_total", type=kind, **mini) for kind in ("input", "cached_input", "output")] == [60, 40, 7]
    assert figures("cost_dollars_total", **mini) == 0.25
    assert figures("calls_total", outcome="failed", **mini) == 1
    assert figures("call_errors_total", code="upstream_busy", **mini) == 1
    assert figures("first_token_seconds_count", **mini) == 1
    assert figures("first_token_seconds_bucket", le="0.25", **mini) == 0
    assert figures("first_token_seconds_bucket", le="0.5", **mini) == 1
    assert figures("first_token_seconds_sum", **mini) == 0.4
    assert figures("unpriced_calls_total", model="mystery-1") == 1
    assert not any(s.name.endswith("cost_dollars_total") and s.labels["model"] == "mystery-1" for s in figures.samples)


@pytest.mark.parametrize(("seconds", "bucket"), [(0, "0.01"), (0.01, "0.01"), (0.011, "0.025"), (300, "300")])
def test_histograms_have_inclusive_bounds(engine, seconds, bucket):
    call(engine.submit(), duration_ms=seconds * 1000)
    assert Total.objects.count() == 0
    totals.count(Faults())
    assert Total.objects.get(name="call_seconds").labels[-1] == bucket


def test_values_above_all_bounds_are_counted(engine):
    call(engine.submit(), duration_ms=1_000_000)
    figures = counted()
    assert figures("call_seconds_bucket", le="300") == 0
    assert figures("call_seconds_bucket", le="+Inf") == figures("call_seconds_count") == 1


def test_rows_are_counted_once_and_totals_survive_their_deletion(engine):
    job = engine.run(engine.submit())
    call(job)
    first = counted()
    AiJob.objects.all().delete()
    for figures in (first, counted()):
        assert figures("jobs_finished_total") == figures("calls_total") == 1


def test_concurrent_processes_count_nothing_twice(engine):
    job = engine.submit()
    for _ in range(40):
        call(job, input_tokens=1)

    def count():
        try:
            for _ in range(3):
                totals.count(Faults())
        finally:
            connection.close()

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted()("tokens_total", type="input") == 40


def test_failed_count_is_repeated_completely(engine, monkeypatch):
    def die(sums):
        raise OperationalError

    engine.run(engine.submit())
    with monkeypatch.context() as patched:
        patched.setattr(totals.Sums, "save", die)
        with pytest.raises(OperationalError):
            totals.count(Faults())
    assert counted()("jobs_finished_total") == 1


@pytest.mark.parametrize("history", [{"not": "a list"}, "text", ["no entry"], [{"outcome": "completed", "ran": 1}]])
def test_a_history_that_cannot_be_read_keeps_no_other_row_from_being_counted(engine, history):
    bad, faults = engine.submit(), Faults()
    AiJob.objects.filter(pk=bad.pk).update(history=history, uncounted=1)
    engine.run(engine.submit())
    assert not totals.count(faults)
    assert faults.take() == {"count": 1}
    assert scrape()("jobs_finished_total", code="") >= 1
    assert not totals.count(faults)
    assert faults.take() == {}


def test_long_backlog_is_counted_in_batches(engine, monkeypatch):
    monkeypatch.setattr(totals, "COUNT_BATCH", 2)
    job = engine.submit()
    for _ in range(3):
        call(job)
    assert totals.count(Faults())
    assert not totals.count(Faults())
    assert scrape()("calls_total") == 3


def test_active_jobs_are_counted_without_reading_ended_ones(engine):
    with connection.cursor() as cursor:
        own = ("id", "idempotency_key")
        columns = [field.column for field in AiJob._meta.concrete_fields if field.column not in own]
        job = transitions.complete(claimed(engine), {"answer": ""}, lambda job, result: None)
        totals.count(Faults())
        cursor.execute(
            f"INSERT INTO jobs_aijob (id, {', '.join(columns)}) SELECT gen_random_uuid(), {', '.join(columns)}"
            " FROM jobs_aijob, generate_series(1, 20000) WHERE id = %s",
            [job.pk],
        )
        cursor.execute("ANALYZE jobs_aijob")
    running = AiJob.objects.filter(status=AiJob.Status.RUNNING).order_by().values("kind")
    uncounted = AiJob.objects.filter(uncounted__gt=0).order_by("pk")
    for rows in (collector._pending(), running, uncounted):
        assert "Seq Scan" not in rows.explain()


def test_the_operations_page_names_every_metric():
    page = (ROOT / "docs/operations.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`[a-z_`, ]+) \| \w+ \|", page, re.MULTILINE))))
    families = [family for family in metrics.REGISTRY.collect() if family.name.startswith(collector.PREFIX)]
    names = {f.name.removeprefix(collector.PREFIX) + "_total" * (f.type == "counter") for f in families}
    assert told == names


def test_keys_of_redis_that_cannot_be_read_count_as_absent(settings):
    settings.REDIS_URL = settings.REDIS_URL.rpartition("/")[0] + "/15"
    connections.redis.cache_clear()
    redis = connections.redis()
    try:
        redis.set("rq:queue:interactive", "x")
        redis.rpush("rq:queue:default", "a", "b")
        redis.sadd("rq:workers", b"\xff", "rq:worker:broken", "nonsense")
        redis.hset("rq:worker:broken", mapping={b"\xff": b"\xff", "pid": "many"})
        for model in upstream.models():
            redis.hset(f"breaker:{{{model}}}", mapping={"state": b"\xff", "since": "nan"})
        shown = scrape()
        assert shown("up", part="redis") == 1
        assert (shown("queue_entries", queue="interactive"), shown("queue_entries", queue="default")) == (0, 2)
        assert shown("workers") == 1
        assert shown("breaker", state="closed") == len(upstream.models())
    finally:
        redis.flushdb()
        connections.redis.cache_clear()


def test_unforeseen_error_of_one_part_leaves_the_other_figures(monkeypatch):
    def fail():
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(collector.checks, "registered_workers", fail)
    shown = scrape()
    assert (shown("up", part="redis"), shown("up", part="postgres")) == (0, 1)
