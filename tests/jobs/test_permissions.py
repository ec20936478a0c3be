"""Staff act on other people's jobs, on queues, breakers and courses with the admin's permissions, and on record."""

import django_rq
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import get_resolver

from assistant.models import Guidance
from courses.models import Enrollment
from jobs.models import AiJob
from personas.models import Profile, Questionnaire
from tests.jobs.worker import foreign
from tests.support import Platform, database, error_of, password_hash, unique

QUEUES = "/admin/django-rq/"


@pytest.fixture
def staff_with(platform):
    def make(*codenames):
        user = User.objects.create(username=unique("test-staff"), password=password_hash(), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert user.user_permissions.count() == len(codenames)
        return user

    return make


@pytest.fixture
def job(learner):
    return AiJob.objects.create(kind="assistant.answer", queue="interactive", owner=learner)


@pytest.fixture
def entries():
    """Three entries of another application in the queue."""
    queue = django_rq.get_queue("background")
    jobs = [queue.enqueue(foreign.add, 1, 2) for _ in range(3)]
    yield jobs
    queue.empty()


def recorded(user):
    return [(entry.object_id, entry.change_message) for entry in LogEntry.objects.filter(user=user).order_by("pk")]


def status(job):
    return AiJob.objects.get(pk=job.pk).status


NOTHING, VIEW, CHANGE = (), ("view_aijob",), ("change_aijob",)


@pytest.mark.parametrize(("has", "expected"), [(NOTHING, 404), (VIEW, 403)])
def test_cancel_and_retry_take_the_permission(platform: Platform, staff_with, job, has, expected):
    user = staff_with(*has)
    with platform.client(user) as client:
        error_of(client.post(f"/api/jobs/{job.pk}/cancel"), expected)
        assert client.get(f"/api/jobs/{job.pk}").status_code == (200 if has else 404)
        AiJob.objects.filter(pk=job.pk).update(status="failed")
        error_of(client.post(f"/api/jobs/{job.pk}/retry"), expected)
        if not has:
            error_of(client.get(f"/api/jobs/{job.pk}/events"), 404)
    assert status(job) == "failed" and recorded(user) == []


def test_cancel_and_retry_are_recorded(platform: Platform, staff_with, job):
    user = staff_with(*CHANGE)
    with platform.client(user) as client:
        assert client.post(f"/api/jobs/{job.pk}/cancel").json()["status"] == "cancelled"
        assert client.post(f"/api/jobs/{job.pk}/retry").json()["status"] == "pending"
        client.post(f"/api/jobs/{job.pk}/cancel")
        error_of(client.post(f"/api/jobs/{job.pk}/cancel"), 409)
    done = ["Cancelled (by way of the API).", "Retried (by way of the API).", "Cancelled (by way of the API)."]
    assert recorded(user) == [(str(job.pk), message) for message in done]


def test_acting_on_ones_own_job_is_not_recorded(platform: Platform, staff_with):
    user = staff_with()
    job = AiJob.objects.create(kind="assistant.answer", queue="interactive", owner=user)
    with platform.client(user) as client:
        assert client.post(f"/api/jobs/{job.pk}/cancel").status_code == 200
        assert client.post(f"/api/jobs/{job.pk}/retry").status_code == 202
    assert recorded(user) == []


def test_permission_of_somebody_who_is_not_staff_does_not_count(platform: Platform, staff_with, job):
    user = staff_with(*CHANGE)
    User.objects.filter(pk=user.pk).update(is_staff=False)
    with platform.client(user) as client:
        error_of(client.post(f"/api/jobs/{job.pk}/cancel"), 404)


@pytest.mark.parametrize(("has", "code"), [(NOTHING, "not_found"), (VIEW, "forbidden")])
async def test_cancel_over_the_socket_takes_the_permission(platform: Platform, staff_with, job, has, code):
    user = await database.call(staff_with, *has)
    async with platform.socket(user) as socket:
        await socket.send({"type": "cancel", "jobId": str(job.pk)})
        assert (await socket.next())["error"]["code"] == code
    assert await database.call(status, job) == "pending"


async def test_cancel_over_the_socket_goes_by_the_permissions_of_now_and_is_recorded(platform, staff_with, job):
    user = await database.call(staff_with, *CHANGE)
    async with platform.socket(user) as socket:
        await database.call(user.user_permissions.clear)
        await socket.send({"type": "cancel", "jobId": str(job.pk)})
        assert (await socket.next())["error"]["code"] == "not_found"
        change = await database.call(Permission.objects.get, codename="change_aijob")
        await database.call(user.user_permissions.add, change)
        await socket.send({"type": "cancel", "jobId": str(job.pk)})
        await socket.send({"type": "ping"})
        assert (await socket.next())["type"] == "pong"
    assert await database.call(recorded, user) == [(str(job.pk), "Cancelled (by way of the socket).")]


def test_actions_of_the_admin_are_recorded_for_each_job(platform: Platform, staff_with, job):
    user, other = staff_with(*CHANGE), AiJob.objects.create(kind="assistant.answer", queue="interactive")
    with platform.browser_session(user) as browser:
        form = {"action": "cancel_jobs", "_selected_action": [str(job.pk), str(other.pk)]}
        browser.post("/admin/jobs/aijob/", data=form)
        history = browser.get(f"/admin/jobs/aijob/{job.pk}/history/").text
    assert sorted(recorded(user)) == sorted((str(j.pk), "Cancelled (by way of the admin).") for j in (job, other))
    assert "Cancelled (by way of the admin)." in history and user.username in history


def queue_pages():
    """The paths of all of django-rq's pages, for the queue `background` (the first by name) and a job."""
    patterns = next(p for p in get_resolver().url_patterns if str(p.pattern) == "admin/django-rq/").url_patterns
    fixed = {"queue_index": 0, "connection_index": 0, "scheduler_index": 0}
    for pattern in patterns:
        route = str(pattern.pattern)
        if route.startswith("^"):
            yield route.split("/?")[0].lstrip("^").replace("(?P<token>[\\w]+)", "x")
            continue
        for name in pattern.pattern.converters:
            kind = "int" if name in fixed else {"cron_job_name": "path"}.get(name, "str")
            route = route.replace(f"<{kind}:{name}>", str(fixed.get(name, "{job}")))
        yield route


@pytest.mark.parametrize("has", [NOTHING, VIEW])
def test_queues_are_viewed_and_changed_with_permissions_only(platform: Platform, staff_with, entries, has):
    user, queue = staff_with(*has), django_rq.get_queue("background")
    with platform.browser_session(user) as browser:
        paths = [path.replace("{job}", entries[0].id) for path in queue_pages()]
        assert len(paths) > 25
        for path in paths:
            shown = browser.get(QUEUES + path).status_code
            assert shown in ((200, 302, 404, 405) if has else (403,)), (path, shown)
            form = {"action": "delete", "job_ids": [entries[0].id], "_selected_action": [entries[0].id]}
            assert browser.post(QUEUES + path, data=form).status_code == 403, path
        linked = browser.get("/admin/django_rq/dashboard/", follow_redirects=True)
        assert (linked.status_code, linked.url.path) == (200 if has else 403, QUEUES)
        assert browser.get("/admin/django_rq/dashboard/queues/0/empty/").status_code == 404
        assert ("Django-RQ" in browser.get("/admin/").text) == bool(has)
    assert queue.count == 3 and recorded(user) == []
    with platform.client() as nobody:
        assert {nobody.get(QUEUES + path).status_code for path in paths} == {302}


def test_changing_queues_is_recorded(platform: Platform, staff_with, entries):
    user, queue = staff_with(*CHANGE), django_rq.get_queue("background")
    first, second, _ = (entry.id for entry in entries)
    with platform.browser_session(user) as browser:
        form = {"action": "delete", "_selected_action": [first]}
        assert browser.post(f"{QUEUES}queues/confirm-action/0/", data=form).status_code == 200
        form = {"action": "delete", "job_ids": [first]}
        assert browser.post(f"{QUEUES}queues/actions/0/", data=form).status_code == 302
        assert browser.post(f"{QUEUES}queues/0/{second}/delete/").status_code == 302
        assert queue.count == 1
        assert browser.post(f"{QUEUES}queues/0/empty/").status_code == 302
    assert queue.count == 0
    assert [message for _, message in recorded(user)] == [
        f"RQ: delete {first} (by way of the admin).",
        f"RQ: delete job {second} (by way of the admin).",
        "RQ: clear (by way of the admin).",
    ]
    assert LogEntry.objects.filter(user=user).first().object_repr == "queue background"


@pytest.mark.parametrize("path", ["queues/99/", "queues/0/nothing/delete/", "workers/0/nobody/"])
def test_queue_pages_that_do_not_exist_are_404(platform: Platform, staff_with, path):
    with platform.browser_session(staff_with(*CHANGE)) as browser:
        assert browser.get(QUEUES + path).status_code == 404


def test_breakers_are_viewed_and_held_with_permissions_and_recorded(platform: Platform, staff_with):
    form, url = {"model": "gpt-4.1-mini", "hold": "open"}, "/admin/upstream/"
    with platform.browser_session(staff_with()) as browser:
        assert browser.get(url).status_code == browser.post(url, data=form).status_code == 403
    with platform.browser_session(staff_with(*VIEW)) as browser:
        page = browser.get(url)
        assert "closed" in page.text and "<button" not in page.text.partition("<table")[2]
        assert browser.post(url, data=form).status_code == 403
    user = staff_with(*CHANGE)
    with platform.browser_session(user) as browser:
        assert "<button" in browser.get(url).text.partition("<table")[2]
        browser.post(url, data=form)
        browser.post(url, data=form | {"hold": "auto"})
        browser.post(url, data=form | {"model": "nothing"})
    assert recorded(user) == [
        (None, "It is held open (by way of the admin)."),
        (None, "It is automatic again (by way of the admin)."),
    ]


def test_guidance_takes_the_permission_and_is_recorded(platform: Platform, staff_with, sql_course):
    url, page = f"/api/assistant/courses/{sql_course.slug}/guidance", f"/courses/{sql_course.slug}/assistant/guidance/"
    for has, expected in (((), (403, 404)), (("view_course",), (403, 403))):
        user = staff_with(*has)
        with platform.client(user) as client, platform.browser_session(user) as browser:
            error_of(client.put(url, json={"level": "answers"}), expected[0])
            assert browser.post(page, data={"level": "answers"}).status_code == expected[1]
    assert not Guidance.objects.filter(course=sql_course).exists()
    user = staff_with("view_course", "change_guidance")
    with platform.client(user) as client, platform.browser_session(user) as browser:
        assert client.put(url, json={"level": "answers"}).status_code == 200
        assert browser.post(page, data={"level": "hints-only"}).status_code == 302
    assert [message for _, message in recorded(user)] == [
        "Level set to answers (by way of the API).",
        "Level set to hints-only (by way of the page).",
    ]
    Guidance.objects.filter(course=sql_course).delete()


def test_courses_are_open_to_staff_who_may_view_them(platform: Platform, staff_with, sql_course):
    lesson = sql_course.lessons.first()
    paths = (f"/api/courses/{sql_course.slug}", f"/api/lessons/{lesson.pk}")
    with platform.client(staff_with()) as client:
        assert client.get("/api/courses").json()["results"] == []
        for path in paths:
            error_of(client.get(path), 403)
    with platform.client(staff_with("view_course")) as client:
        assert {client.get(path).status_code for path in paths} == {200}
    enrolled = staff_with()
    Enrollment.objects.create(user=enrolled, course=sql_course)
    with platform.client(enrolled) as client:
        assert {client.get(path).status_code for path in paths} == {200}


def test_tutors_desk_is_closed_to_staff_who_do_not_teach(platform: Platform, staff, sql_course):
    with platform.client(staff) as client:
        for path in ("insights", "drafts", "questions/1/thread"):
            error_of(client.get(f"/api/tutors/courses/{sql_course.slug}/{path}"), 404)


def test_actions_on_personas_are_recorded(platform: Platform, staff_with, learner):
    questionnaire = Questionnaire.objects.create(title="You", version=1_000_000)
    profile = Profile.objects.create(user=learner, questionnaire=questionnaire, answers=[])
    looker, user = staff_with("view_profile"), staff_with("change_profile")
    try:
        for who in (looker, user):
            with platform.browser_session(who) as browser:
                browser.post("/admin/personas/profile/", data={"action": "renew", "_selected_action": [profile.pk]})
                browser.post("/admin/personas/profile/renew-all/")
        assert recorded(looker) == []
        assert [message for _, message in recorded(user)] == [
            "To be classified again.",
            "Submitted, to classify all stale profiles again (by way of the admin).",
        ]
    finally:
        AiJob.objects.all().delete()
        profile.delete()
        questionnaire.delete()


def test_what_the_admin_hides_cannot_be_found_by_look_ups(platform: Platform, staff_with, job):
    AiJob.objects.filter(pk=job.pk).update(result={"answer": "canary"})
    with platform.browser_session(staff_with(*VIEW)) as browser:
        for query in (
            "result__answer__startswith=can",
            "payload__x=1",
            "owner__password__startswith=a",
            "history__0=1",
        ):
            answers = [browser.get(f"/admin/jobs/aijob/?{query}{more}") for more in ("", "nothing")]
            assert all(str(job.pk)[:8] not in answer.text for answer in answers), query
        for query in (
            f"id__exact={job.pk}",
            "status__exact=pending",
            "created_at__gte=2020-01-01",
            "kind=assistant.answer",
        ):
            assert str(job.pk)[:8] in browser.get(f"/admin/jobs/aijob/?{query}").text, query
