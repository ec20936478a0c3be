"""A connection plans a statement that it has prepared for all values, once that looks as cheap as planning it again.

Such a plan cannot use a partial index whose condition depends on a value.
"""

from __future__ import annotations

from django.db import connection
from django.test import Client

from tests.scale.plans import scans
from tests.scale.test_requests import accepted, send
from tests.support import unique

TIMES = 16  # psycopg prepares after 5 executions, Postgres considers a plan for all values after 5 more


def test_plans_for_all_values_read_no_large_table(recorder, browser, course, settings):
    settings.BUDGET_PERSON_TOKENS = settings.BUDGET_TOTAL_TOKENS = 10**9
    settings.JOBS_MAX_WAIT_SECONDS, settings.JOBS_PER_PERSON = 10**6, 100
    settings.LANDING_QUESTIONS_PER_VISITOR = settings.LANDING_QUESTIONS_PER_NETWORK = 1000
    visitor = Client(HTTP_HOST="localhost")
    for _ in range(TIMES):
        for client, path, body in (
            (browser, "/api/assistant/query", {"courseId": course.slug, "question": "What is NULL?"}),
            (visitor, "/api/landing-assistant/query", {"question": "How much is it?"}),
        ):
            job = accepted(send(client, "post", path, body, **{"Idempotency-Key": unique("key")}))
            for get in (job["links"]["self"], "/api/conversations", f"/api/conversations/{job['conversationId']}"):
                assert client.get(get).status_code == 200
            assert send(client, "post", job["links"]["cancel"]).status_code == 200
            assert send(client, "delete", f"/api/conversations/{job['conversationId']}").status_code == 204
        assert browser.get("/api/quota").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0")
        statements = [statement for (statement,) in cursor]
        assert len(statements) > 10
        for statement in statements:
            cursor.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement}")
            read = {
                node["Relation Name"]
                for node in scans(cursor.fetchone()[0][0]["Plan"])
                if node["Node Type"] == "Seq Scan"
            }
            assert not read & recorder.big_tables, statement
