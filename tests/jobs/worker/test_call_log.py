"""Every upstream call gets a row; concurrent calls share a statement."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import OperationalError

from devstack.servers.stack import SIMULATOR_KEY
from jobs.models import AiCall, AiJob
from jobs.worker import call_log
from jobs.worker.call_log import CallLog, LoggedCall
from llm.calls import Call
from llm.client import Llm
from llm.config import LlmConfig
from llm.errors import LlmError
from llm.sdk import connect
from tests.support import database

NOW = datetime.now(UTC)


def call(purpose="answer", **values):
    ended = Call(purpose, "gpt-4.1-mini", "What is NULL?")
    ended.got_first_token()
    ended.got_usage({"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 40}})
    ended.end("ok")
    for name, value in values.items():
        setattr(ended, name, value)
    return ended


@pytest.fixture
def job(engine):
    job = engine.submit()
    job.attempt = 2
    return job


@pytest.fixture
def statements(monkeypatch):
    """The number of calls that each statement wrote."""
    sizes = []
    insert = call_log.insert

    def counted(calls):
        insert(calls)
        sizes.append(len(calls))

    monkeypatch.setattr(call_log, "insert", counted)
    return sizes


def test_row_records_the_call(job):
    made = call(governor_ms=12, error_code="", upstream_id="req_1")
    call_log.insert([LoggedCall(job, made)])
    row = AiCall.objects.get()
    assert (row.job_id, row.attempt, row.is_counted) == (job.pk, 2, False)
    for name in call_log._FIELDS:
        expected = getattr(made, name)
        assert getattr(row, name) == (expected.quantize(Decimal("1e-8")) if name == "cost" else expected), name


def test_call_without_a_price_or_first_token_stores_null(job):
    call_log.insert([LoggedCall(job, call(cost=None, first_token_ms=None, outcome="failed"))])
    row = AiCall.objects.get()
    assert (row.cost, row.first_token_ms, row.outcome) == (None, None, "failed")


async def test_calls_that_end_during_a_write_share_the_next_statement(job, statements):
    log = CallLog(database)
    await asyncio.wait([log.record(job, call(f"purpose {n}")) for n in range(50)])
    assert await database.call(AiCall.objects.count) == 50
    assert sum(statements) == 50 and len(statements) <= 2
    await log.record(job, call())
    assert await database.call(AiCall.objects.count) == 51


async def test_rejected_row_does_not_affect_the_others(job, caplog):
    log = CallLog(database)
    await asyncio.wait([log.record(job, call(error_detail=d, started_at=at)) for d, at in (("a", NOW), ("b", None))])
    await log.record(job, call(error_detail="c"))
    rows = await database.call(lambda: set(AiCall.objects.values_list("error_detail", flat=True)))
    assert rows == {"a", "c"}
    [complaint] = [record for record in caplog.records if "has no row" in record.message]
    assert str(job.pk) in complaint.message and "What is NULL?" not in complaint.message


LONG = "m" * 1000
HUGE = 10**30


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ({"model": LONG, "upstream_id": LONG, "error_code": LONG, "purpose": LONG}, {"model": LONG[:80]}),
        ({"upstream_id": "req\0_1\ud83d", "error_detail": "not \0 text \ud83d\ude00"}, {"upstream_id": "req_1"}),
        ({"input_tokens": HUGE, "cached_tokens": -5, "output_tokens": 2**31}, {"input_tokens": 2**31 - 1}),
        ({"governor_ms": HUGE, "first_token_ms": -1, "duration_ms": HUGE}, {"first_token_ms": 0}),
        ({"cost": Decimal(HUGE)}, {"cost": Decimal(999_999)}),
        ({"cost": Decimal(-5)}, {"cost": Decimal(0)}),
    ],
    ids=["long", "refused characters", "tokens", "times", "large cost", "negative cost"],
)
def test_values_that_no_column_holds_are_cut(job, values, stored):
    call_log.insert([LoggedCall(job, call(**values))])
    [row] = AiCall.objects.values()
    assert {name: row[name] for name in stored} == stored


async def test_call_of_a_long_model_with_a_long_request_id_has_its_row(job, simulator):
    """As deployments and proxies name them: 119 and 100 letters."""
    config = LlmConfig(SIMULATOR_KEY, f"{simulator.url}/v1", "m" * 119, "f" * 119, "text-embedding-3-small")
    log, written = CallLog(database), []
    simulator.fault("raw", status=500, headers={"x-request-id": "r" * 100}, body="no\0")
    async with connect(config) as client:
        llm = Llm(client, config, lambda call: written.append(log.record(job, call)))
        with pytest.raises(LlmError):
            await llm.text("p" * 100, [{"role": "user", "content": "x"}])
    await asyncio.wait(written)
    rows = await database.call(lambda: list(AiCall.objects.values_list("model", "purpose", "error_code")))
    assert rows == [("f" * 80, "p" * 40, "upstream_unavailable")] * 3


async def test_calls_of_a_deleted_job_are_skipped(job, engine):
    gone = await database.call(engine.submit)
    await database.call(AiJob.objects.filter(pk=gone.pk).delete)
    log = CallLog(database)
    await asyncio.wait([log.record(owner, call()) for owner in (gone, job)])
    assert await database.call(lambda: list(AiCall.objects.values_list("job_id", flat=True))) == [job.pk]


async def test_calls_wait_while_the_database_is_down(job, monkeypatch):
    insert, tries = call_log.insert, []

    def away_at_first(calls):
        tries.append(len(calls))
        if len(tries) < 3:
            raise OperationalError
        insert(calls)

    monkeypatch.setattr(call_log, "insert", away_at_first)
    await CallLog(database).record(job, call())
    assert tries == [1, 1, 1]
    assert await database.call(AiCall.objects.count) == 1


def test_detail_does_not_quote_what_the_upstream_refused(job):
    detail = "HTTP 400 (request req_1): Invalid value: 'What does xylophagous mean?'"
    call_log.insert([LoggedCall(job, call(outcome="failed", error_detail=detail))])
    assert AiCall.objects.get().error_detail == "HTTP 400 (request req_1): Invalid value: [left out]"
