"""What the sweeper, retention and the running totals read does not grow with the number of old jobs."""

from __future__ import annotations

import pytest
from django.db import connection

from jobs import limits, retention
from jobs.backends.faults import Faults
from jobs.monitoring import totals
from jobs.worker import sweeper


def test_sweep(recorder):
    with recorder.recording():
        sweeper.take_back_lost(Faults())
        sweeper.enqueue_due(Faults())
        sweeper.enqueue_forgotten(Faults())
        sweeper.submit_pruning()
        totals.count(Faults())


def test_expected_wait(recorder, settings):
    with recorder.recording():
        for queue in settings.JOBS_QUEUES:
            limits.expected_wait(queue)


@pytest.mark.parametrize("part", retention.parts(), ids=lambda part: part.name)
def test_old_rows_are_found_and_deleted(recorder, settings, part):
    settings.JOBS_KEEP_DAYS = 70
    with recorder.recording():
        part.is_due()
        assert part.delete() > 0


def test_every_foreign_key_has_an_index(loaded):
    """Deleting a row looks for those that refer to it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT key.conrelid::regclass::text, attribute.attname
            FROM pg_constraint key
            JOIN pg_attribute attribute ON attribute.attrelid = key.conrelid AND attribute.attnum = key.conkey[1]
            WHERE key.contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_index index WHERE index.indrelid = key.conrelid AND index.indkey[0] = key.conkey[1]
                AND index.indpred IS NULL
            )
            """
        )
        assert cursor.fetchall() == []
