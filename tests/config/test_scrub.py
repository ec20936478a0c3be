"""Errors are logged and stored without the values that they quote, which may be people's words."""

import asyncio
import json
import logging
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, connection
from pydantic import BaseModel, ConfigDict

from config import scrub
from config.logs import as_json
from courses.models import Course
from jobs.models import AiJob

CANARY = "xylophagous"
TEXT = f'What does\n\n"{CANARY}" mean,\n{CANARY}?\n\nDETAIL: {CANARY} (x)=({CANARY})'


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


def execute(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def save_job(text):
    AiJob(kind="test.work", queue="default", result={"answer": text}).save()


def same_slug_twice():
    slug = f"{CANARY}-{uuid.uuid4().hex}"
    Course.objects.create(slug=slug, title=CANARY)
    try:
        Course.objects.create(slug=slug, title=CANARY)
    finally:
        Course.objects.filter(slug=slug).delete()


def chained():
    try:
        save_job(f"{TEXT}\0")
    except DataError as error:
        raise RuntimeError("while saving") from error


def while_handling():
    try:
        Strict(number=TEXT)
    except ValueError:
        {}[f"no {CANARY}"]


def grouped():
    async def fail():
        save_job(f"{TEXT}\0")

    async def together():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(fail())

    asyncio.run(together())


def noted():
    error = ValueError("no number")
    error.add_note(f"DETAIL: {CANARY}")
    raise error


FAILURES = {
    "NUL in jsonb, with its CONTEXT": lambda: save_job(f"{TEXT}\0"),
    "NUL in a text": lambda: execute("SELECT %s::text", f"{TEXT}\0"),
    "half a surrogate pair": lambda: execute("SELECT %s::text", f"{TEXT}\ud800"),
    "a failing row, with its DETAIL": lambda: execute(
        "INSERT INTO conversations_message (role, text, citations, created_at) VALUES ('user', %s, '[]', now())", TEXT
    ),
    "no number": lambda: execute("SELECT %s::text::bigint", TEXT),
    "no number, one word": lambda: execute("SELECT %s::text::bigint", CANARY),
    "no date": lambda: execute("SELECT %s::text::timestamptz", TEXT),
    "no JSON": lambda: execute("SELECT %s::text::jsonb", TEXT),
    "out of range": lambda: execute("SELECT %s::text::int", "9" * 30 + CANARY),
    "a unique key": same_slug_twice,
    "a statement, with its LINE": lambda: execute(f"SELECT '{CANARY}' FROM nowhere"),
    "pydantic": lambda: Strict(number=TEXT),
    "pydantic, an unknown key": lambda: Strict.model_validate({"number": 1, CANARY: 1}),
    "int": lambda: int(TEXT),
    "float": lambda: float(CANARY),
    "Django": lambda: uuid_field().to_python(TEXT),
    "a chain": chained,
    "a chain by accident": while_handling,
    "a group": grouped,
    "a note": noted,
}


def uuid_field():
    return AiJob._meta.pk


def raised(fail):
    with pytest.raises((Exception, ExceptionGroup)) as caught:
        fail()
    if connection.connection is not None:
        connection.rollback()
    return caught.value


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
def test_values_are_neither_logged_nor_stored(fail):
    error = raised(fail)
    exc_info = (type(error), error, error.__traceback__)
    quoting = [
        logging.LogRecord("jobs", logging.ERROR, "", 1, "failed: %s", (error,), exc_info),
        logging.LogRecord("jobs", logging.INFO, "", 1, "failed: %s, %d", (error, 1), None),
        logging.LogRecord("jobs", logging.INFO, "", 1, "failed: %(why)s", ({"why": error},), None),
        logging.LogRecord("asyncio", logging.ERROR, "", 1, f"Task exception was never retrieved {error!r}", (), None),
        logging.LogRecord("rq.worker", logging.ERROR, "", 1, f"job raised: {error}", (), None),
    ]
    for line in [*map(as_json().format, quoting), scrub.reason(error)]:
        assert CANARY not in line
    traceback = json.loads(as_json().format(quoting[0]))["exception"]
    assert "Traceback" in traceback and type(error).__name__ in traceback and "test_scrub.py" in traceback


def test_what_helps_to_find_the_fault_stays():
    assert "chain" not in scrub.reason(raised(chained))
    text = scrub.traceback_of(raised(chained))
    assert "unsupported Unicode escape sequence" in text and "direct cause" in text
    assert text.endswith("RuntimeError: while saving")
    assert "TaskGroup" in scrub.traceback_of(raised(grouped))
    assert 'relation "nowhere" does not exist' in scrub.reason(raised(lambda: execute("SELECT 1 FROM nowhere")))
    assert scrub.reason(raised(same_slug_twice)).startswith("IntegrityError: duplicate key value violates unique")
    assert scrub.reason(AttributeError("'str' object has no attribute 'pk'")).endswith("has no attribute 'pk'")
    assert "int_parsing" in scrub.reason(raised(lambda: Strict(number=CANARY)))
    assert scrub.reason(ValidationError("the form can't be saved"))


def test_scrubbed_text_can_be_stored():
    execute("SELECT %s::text", scrub.reason(ValueError("a\0b\ud800")))
