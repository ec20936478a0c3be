"""Fills the database with the rows of 80 days: 400,000 jobs, 1.2 million calls, 100,000 conversations.

Everything is written by SQL on the server, which takes well under a minute. Nearly all jobs have ended; the newest are
pending or running. The last day reaches up to the moment of loading.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import NOT_PROVIDED

JOBS = 400_000
CALLS_PER_JOB = 3
JOBS_PER_CONVERSATION = 4
ACTIVE = 100  # of the newest jobs
DAYS = 80
PEOPLE = 20_000
COURSES = 40
NAME = "past-"  # how the names of the loaded people begin

# The newest job is number 1, and is written last. Of each twenty conversations, fourteen are with the assistant, four
# with the landing assistant and two with a copilot. UUIDs are digests of numbers, so that rows can refer to each other.
_NUMBERED = f"""
SELECT n, ((n - 1) / {JOBS_PER_CONVERSATION}) AS conversation, (n - 1) % {JOBS_PER_CONVERSATION} AS place,
       now() - interval '{DAYS} days' * (n::float8 / {JOBS}) AS at,
       CASE WHEN ((n - 1) / {JOBS_PER_CONVERSATION}) % 20 < 14 THEN 'assistant'
            WHEN ((n - 1) / {JOBS_PER_CONVERSATION}) % 20 < 18 THEN 'landing' ELSE 'tutors' END AS surface
FROM generate_series({JOBS}, 1, -1) n
"""
_OWNER = f"CASE WHEN surface <> 'landing' THEN (SELECT min(id) FROM auth_user WHERE username LIKE '{NAME}%')" + (
    f" + (conversation * 7919) % {PEOPLE} END"
)
_VISITOR = "CASE WHEN surface = 'landing' THEN md5('visitor' || conversation / 2) ELSE '' END"
_COURSE = "CASE WHEN surface <> 'landing' THEN (SELECT min(id) FROM courses_course) + conversation % 7 % 2 END"
_CONVERSATION = "md5('conversation' || conversation)::uuid"
_JOB = "md5('job' || n)::uuid"
_IS_ANSWER = "(surface <> 'assistant' OR place % 2 = 0)"


def load(active: int = ACTIVE) -> None:
    """Load all rows and analyse the tables. There must be at least two courses, whose ids follow each other.

    `active`: how many of the newest jobs are pending or running.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # the rows refer to each other; do not check it
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        indexes = _drop_indexes()
        _load_people()
        _load_jobs(active)
        _load_calls(active)
        _load_conversations(active)
        _load_rest()
        for definition in indexes:
            cursor.execute(definition)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")  # or a measurement that follows would compete with the writing of a gigabyte


def _drop_indexes() -> list[str]:
    """Drop the indexes of the large tables, which are built faster at the end; returns their definitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index
            WHERE indrelid::regclass::text = ANY(%s)
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
            """,
            [["jobs_aijob", "jobs_aicall", "conversations_conversation", "conversations_message"]],
        )
        found = cursor.fetchall()
        cursor.execute(f"DROP INDEX {', '.join(name for name, _ in found)}")
        return [definition for _, definition in found]


def unload() -> None:
    """Delete all jobs, calls and conversations, and the loaded people: for a database of a lab only."""
    tables = ("jobs_aijob", "jobs_aicall", "jobs_spent", "conversations_conversation", "landing_contactrequest")
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        for table, column in (
            ("courses_enrollment", "user_id"), ("personas_profile", "user_id"), ("accounts_wsticket", "user_id"),
            ("auth_user", "id"),
        ):  # fmt: skip
            people = f"SELECT id FROM auth_user WHERE username LIKE '{NAME}%'"
            cursor.execute(f"DELETE FROM {table} WHERE {column} IN ({people})")
        cursor.execute(f"DELETE FROM courses_course WHERE slug LIKE '{NAME}%'")
        cursor.execute(f"DELETE FROM personas_persona WHERE key LIKE '{NAME}%'")
        cursor.execute("DELETE FROM personas_questionnaire WHERE title = 'Past'")
        cursor.execute("VACUUM ANALYZE")


def _load_people() -> None:
    _insert(
        "auth.User", f"generate_series(1, {PEOPLE}) n", username=f"'{NAME}' || n", password="'!'", is_active="true",
        is_staff="false", is_superuser="false", date_joined="now()",
    )  # fmt: skip
    people = f"(SELECT id, row_number() OVER () AS n FROM auth_user WHERE username LIKE '{NAME}%') person"
    _insert("courses.Course", f"generate_series(1, {COURSES}) n", slug=f"'{NAME}' || n", title="'Course ' || n")
    _insert(
        "courses.Enrollment", people, user_id="id",
        course_id=f"CASE WHEN n <= 500 THEN (SELECT min(id) FROM courses_course) "
        f"ELSE (SELECT max(id) FROM courses_course) - n % {COURSES} END",
    )  # fmt: skip
    _insert(
        "personas.Persona", "generate_series(1, 4) n", key=f"'{NAME}' || n", name="'Persona ' || n", is_active="false"
    )
    _insert("personas.Questionnaire", "generate_series(1, 1) n", title="'Past'", version="NULL")
    _insert(
        "personas.Profile", people, user_id="id", questionnaire_id="(SELECT max(id) FROM personas_questionnaire)",
        persona_id="(SELECT max(id) FROM personas_persona) - n % 4", answers="'[]'", source="'model'",
        personas_version="'v' || n % 9", prompt_version="'p'", model="'m'", classified_at="now()", updated_at="now()",
    )  # fmt: skip
    _insert(
        "accounts.WsTicket", people, hash="md5('t' || n)", user_id="id", expires_at="now() - (n - 5) * interval '1 s'"
    )
    _insert(
        "sessions.Session", people, session_key="md5('s' || n)", session_data="''",
        expire_date="now() + (n - 100) * interval '1 minute'",
    )  # fmt: skip


def _load_jobs(active: int) -> None:
    ended = f"n > {active}"
    status = f"""CASE WHEN n <= {active} / 2 THEN 'pending' WHEN n <= {active} THEN 'running'
                 WHEN n % 50 = 7 THEN 'failed' WHEN n % 50 = 19 THEN 'cancelled' ELSE 'completed' END"""
    _insert(
        "jobs.AiJob",
        f"({_NUMBERED}) job",
        id=_JOB,
        kind=f"""CASE WHEN n % 5000 = 4999 THEN 'jobs.pruning' WHEN {_IS_ANSWER} THEN
                 CASE surface WHEN 'tutors' THEN 'tutors.copilot' ELSE surface || '.answer' END
                 WHEN n % 16 = 0 THEN 'conversations.summary' ELSE 'assistant.suggestions' END""",
        queue=f"CASE WHEN NOT {_IS_ANSWER} THEN 'background' WHEN surface = 'assistant' THEN 'interactive' "
        "ELSE 'default' END",
        owner_id=_OWNER,
        visitor=_VISITOR,
        subject=f"'conversation:' || {_CONVERSATION} || CASE WHEN n <= {active} THEN '-' || n ELSE '' END",
        payload="jsonb_build_object('conversationId', md5('conversation' || conversation)::uuid, 'messageId', n)",
        result=f"CASE WHEN {ended} THEN jsonb_build_object('answer', repeat('An answer. ', 30), 'citations', '[]'"
        "::jsonb) END",
        status=status,
        attempt=f"(n > {active} / 2)::int",
        error_code=f"""CASE WHEN n % 50 = 7 THEN (ARRAY['upstream_busy', 'upstream_down', 'deadline', 'internal'])
                      [1 + n % 4] WHEN n <= least(5, {active}) THEN 'upstream_paused' ELSE '' END""",
        crashes=f"CASE WHEN n BETWEEN 6 AND least(7, {active}) THEN 2 ELSE 0 END",
        history=f"CASE WHEN {ended} THEN jsonb_build_array(jsonb_build_object('attempt', 1, 'outcome', {status}, "
        "'waited', 0.01, 'ran', 4.2, 'at', at)) ELSE '[]' END",
        worker="'worker-' || n % 4",
        # Half of those that are pending are due, the others are not.
        run_after=f"CASE WHEN n <= {active} / 2 THEN now() + (n - {active} / 4) * interval '1 s' END",
        enqueued_at=f"CASE WHEN n <= {active} / 2 AND n % 2 = 0 THEN now() END",
        lease_until=f"CASE WHEN n BETWEEN {active} / 2 + 1 AND {active} THEN now() + interval '1 hour' END",
        created_at="at",
        started_at=f"CASE WHEN n > {active} / 2 THEN at + interval '10 ms' END",
        finished_at=f"CASE WHEN {ended} THEN at + interval '4 s' END",
        idempotency_key="CASE WHEN n % 3 = 0 THEN 'key-' || n END",
        request_hash="md5('r' || n)",
        request_id="md5('q' || n)",
    )


def _load_calls(active: int) -> None:
    _insert(
        "jobs.AiCall",
        f"({_NUMBERED}) job CROSS JOIN generate_series(1, {CALLS_PER_JOB}) call WHERE n > {active} / 2",
        job_id=_JOB,
        attempt="1",
        purpose="(ARRAY['answer', 'embedding', 'rewrite'])[call]",
        model="(ARRAY['gpt-4.1-mini', 'text-embedding-3-small', 'gpt-4.1-nano'])[call]",
        outcome="CASE WHEN n % 40 = 7 THEN 'failed' ELSE 'ok' END",
        input_tokens="CASE call WHEN 1 THEN 1500 ELSE 40 END",
        output_tokens="CASE call WHEN 1 THEN 300 ELSE 0 END",
        cost="CASE call WHEN 1 THEN 0.00108 ELSE 0.0000008 END",
        duration_ms="400 * call",
        started_at="at + interval '10 ms'",
        is_counted="true",
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_spent")  # of all calls: triggers were off
        cursor.execute(
            """
            INSERT INTO jobs_spent (day, scope, tokens, dollars)
            SELECT (call.started_at AT TIME ZONE 'UTC')::date, scope, sum(input_tokens + output_tokens), sum(cost)
            FROM jobs_aicall call JOIN jobs_aijob job ON job.id = call.job_id,
            LATERAL (VALUES ('all'), ('kind:' || kind), ('owner:' || owner_id), ('visitor:' || visitor)) of_ (scope)
            WHERE call.started_at > now() - interval '9 days' AND scope <> 'visitor:'
            GROUP BY 1, 2
            """
        )


def _load_conversations(active: int) -> None:
    _insert(
        "conversations.Conversation",
        f"({_NUMBERED}) job WHERE place = 0",
        id=_CONVERSATION,
        surface="surface",
        owner_id=_OWNER,
        visitor=_VISITOR,
        course_id=_COURSE,
        title="'Question ' || n",
        created_at="at",
        updated_at="at",
    )
    _insert(
        "conversations.Message",
        f"({_NUMBERED}) job CROSS JOIN unnest(ARRAY['user', 'assistant']) AS role WHERE {_IS_ANSWER} AND n > {active}",
        conversation_id=_CONVERSATION,
        role="role",
        text="repeat(CASE role WHEN 'user' THEN 'What is NULL? ' ELSE 'It is no value. ' END, 5)",
        citations="""CASE role WHEN 'user' THEN '[]' ELSE '[{"n": 1, "lessonId": "1", "title": "NULL", "heading": ""}]'
                     ::jsonb END""",
        job_id=_JOB,
        rating="CASE WHEN role = 'assistant' AND n % 40 = 1 THEN CASE n % 3 WHEN 0 THEN 'down' ELSE 'up' END "
        "ELSE '' END",
        created_at="at",
    )


def _load_rest() -> None:
    some = "generate_series(20000, 1, -1) n"
    _insert(
        "landing.ContactRequest", some, email=f"'{NAME}' || n || '@example.org'", name="'Person ' || n",
        message="repeat('Please call me back. ', 10) || n", is_answered="n > 50",
        conversation_id=f"CASE WHEN n < {JOBS // JOBS_PER_CONVERSATION // 20} THEN "
        "md5('conversation' || (n * 20 + 14))::uuid END",
        created_at="now() - n * interval '5 minutes'",
    )  # fmt: skip
    _insert(
        "landing.Counter", some, name="md5('c' || n)", count="1",
        until="date_trunc('hour', now()) + (1 - n % 3) * interval '1 hour'",
    )  # fmt: skip
    _insert(
        "jobs.Reading", "generate_series(50000, 1, -1) n", reader_name="'staff-' || n % 7",
        what="'job:' || md5('j' || n)", at="now() - n * interval '2 minutes'",
    )  # fmt: skip
    _insert(
        "tutors.Draft", some, course_id="(SELECT min(id) FROM courses_course) + n % 2", kind="'reply'",
        state="(ARRAY['draft', 'accepted', 'discarded'])[1 + n % 3]", position="0", content="""
        '{"kind": "reply", "text": "Yes.", "citations": []}'""", job_id="md5('job' || (n + 1000))::uuid",
        created_at="now() - n * interval '5 minutes'", updated_at="now()",
    )  # fmt: skip


def _insert(label: str, source: str, /, **columns: str) -> None:
    """Insert a row for each row of `source`. Columns that are not given get their field's default."""
    model = apps.get_model(label)
    for field in model._meta.concrete_fields:
        if field.column not in columns and not isinstance(field, models.AutoField) and not field.generated:
            columns[str(field.column)] = _default(field)
    statement = f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} FROM {source}")


def _default(field: Any) -> str:
    """The SQL of what a new row gets in this column."""
    if field.default is NOT_PROVIDED or field.default is None:
        return "NULL" if field.null else "''" if isinstance(field, models.CharField | models.TextField) else "0"
    value = field.get_default()
    return f"'{value}'" if not isinstance(value, list | dict) else "'[]'" if isinstance(value, list) else "'{}'"
