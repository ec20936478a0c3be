"""Every upstream call gets a row; concurrent calls share a statement."""

import asyncio
from decimal import Decimal

import pytest
from django.db import OperationalError

from jobs.models import AiCall, AiJob
from jobs.worker import call_log
from jobs.worker.call_log import CallLog, LoggedCall
from llm.calls import Call
from tests.support import database


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
    await asyncio.wait([log.record(job, call(model=model)) for model in ("a", "not \x00 text", "b")])
    rows = await database.call(lambda: set(AiCall.objects.values_list("model", flat=True)))
    assert rows == {"a", "b"}
    [complaint] = [record for record in caplog.records if "has no row" in record.message]
    assert str(job.pk) in complaint.message and "What is NULL?" not in complaint.message


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
