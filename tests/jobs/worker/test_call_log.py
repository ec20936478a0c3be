"""The account of upstream calls: every one is written down, together with others where there are many."""

import asyncio
from decimal import Decimal

import pytest
from django.db import OperationalError

from jobs.backends import db
from jobs.models import AiCall, AiJob
from jobs.worker import call_log
from jobs.worker.call_log import Entry, Ledger
from llm.calls import Call


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
    """How many calls each statement wrote."""
    sizes = []
    enter = call_log.enter

    def counted(entries):
        enter(entries)
        sizes.append(len(entries))

    monkeypatch.setattr(call_log, "enter", counted)
    return sizes


def test_a_row_says_what_the_call_was(job):
    made = call(governor_ms=12, error_code="", upstream_id="req_1")
    call_log.enter([Entry(job, made)])
    row = AiCall.objects.get()
    assert (row.job_id, row.attempt, row.is_counted) == (job.pk, 2, False)
    for name in call_log._FIELDS:
        expected = getattr(made, name)
        assert getattr(row, name) == (expected.quantize(Decimal("1e-8")) if name == "cost" else expected), name


def test_a_call_without_a_price_or_a_first_token_has_none(job):
    call_log.enter([Entry(job, call(cost=None, first_token_ms=None, outcome="failed"))])
    row = AiCall.objects.get()
    assert (row.cost, row.first_token_ms, row.outcome) == (None, None, "failed")


async def test_calls_that_end_meanwhile_are_written_together(job, statements):
    ledger = Ledger()
    await asyncio.wait([ledger.enter(job, call(f"purpose {n}")) for n in range(50)])
    assert await db.call(AiCall.objects.count) == 50
    assert sum(statements) == 50 and len(statements) <= 2
    await ledger.enter(job, call())
    assert await db.call(AiCall.objects.count) == 51


async def test_one_that_is_refused_takes_no_others_along(job, caplog):
    ledger = Ledger()
    await asyncio.wait([ledger.enter(job, call(error_detail=detail)) for detail in ("a", "not \x00 text", "b")])
    rows = await db.call(lambda: set(AiCall.objects.values_list("error_detail", flat=True)))
    assert rows == {"a", "b"}
    [complaint] = [record for record in caplog.records if "not in the account" in record.message]
    assert str(job.pk) in complaint.message and "What is NULL?" not in complaint.message


async def test_calls_of_a_job_that_was_deleted_are_left_out(job, engine):
    gone = await db.call(engine.submit)
    await db.call(AiJob.objects.filter(pk=gone.pk).delete)
    ledger = Ledger()
    await asyncio.wait([ledger.enter(owner, call()) for owner in (gone, job)])
    assert await db.call(lambda: list(AiCall.objects.values_list("job_id", flat=True))) == [job.pk]


async def test_calls_wait_for_a_database_that_is_away(job, monkeypatch):
    enter, tries = call_log.enter, []

    def away_at_first(entries):
        tries.append(len(entries))
        if len(tries) < 3:
            raise OperationalError
        enter(entries)

    monkeypatch.setattr(call_log, "enter", away_at_first)
    await Ledger().enter(job, call())
    assert tries == [1, 1, 1]
    assert await db.call(AiCall.objects.count) == 1
