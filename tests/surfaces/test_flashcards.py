"""The surface that docs/adding-a-surface.md builds works, and the page shows its very files."""

import re

import pytest

from courses.models import Enrollment
from jobs.models import AiJob
from tests.support import ROOT, error_of, wait_for
from tests.tree import FACE, imported

FOLDER = ROOT / "tests" / "surfaces" / "flashcards"
PAGE = (ROOT / "docs" / "adding-a-surface.md").read_text()


def ask(api, course, count=3, **headers):
    body = {"courseId": course.slug, "lessonId": str(course.lessons.first().pk), "count": count}
    return api.post("/api/flashcards", json=body, headers=headers)


@pytest.fixture
def worker(platform):
    with platform.worker():
        yield


def test_cards_are_written_from_the_lesson_and_read_by_their_learner_alone(platform, api, worker, sql_course, stranger):
    accepted = ask(api, sql_course)
    assert accepted.status_code == 202, accepted.text
    assert set(accepted.json()) == {"jobId", "status", "links"}
    job = wait_for(lambda: AiJob.objects.filter(pk=accepted.json()["jobId"], finished_at__isnull=False).first())
    assert (job.kind, job.queue, job.status) == ("flashcards.cards", "default", "completed"), job.error_detail
    cards = api.get("/api/flashcards").json()["results"]
    assert len(cards) == job.result["count"] > 0
    assert all(card["front"] and card["back"] for card in cards)
    assert api.get(f"/api/jobs/{job.pk}").json()["result"] == job.result
    with platform.client(stranger) as other:
        assert other.get("/api/flashcards").json()["results"] == []
    with platform.browser_session(job.owner) as browser:
        assert "Your flashcards" in browser.get(f"/lessons/{job.payload['lessonId']}/").text


def test_the_engine_does_the_rest(platform, api, sql_course, bees_course, learner):
    first = ask(api, sql_course, **{"Idempotency-Key": "k"})
    assert ask(api, sql_course, **{"Idempotency-Key": "k"}).json()["jobId"] == first.json()["jobId"]
    assert error_of(ask(api, sql_course), 409)["code"] == "busy"
    assert error_of(ask(api, bees_course), 403)["code"] == "not_enrolled"
    assert error_of(ask(api, sql_course, count=99), 400)["code"] == "invalid"
    Enrollment.objects.filter(user=learner).delete()
    with platform.worker():
        job = wait_for(lambda: AiJob.objects.filter(pk=first.json()["jobId"], finished_at__isnull=False).first())
    assert (job.status, job.error_code) == ("failed", "not_enrolled")


def test_the_page_shows_the_files_as_they_are():
    blocks = [text for _, text in re.findall(r"^```(python|html)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    files = [*FOLDER.glob("*.py"), *FOLDER.glob("templates/**/*.html")]
    missing = {file.name for file in files if file.name != "__init__.py" and file.read_text() not in blocks}
    assert len(files) > 9 and not missing


def test_it_imports_the_face_of_the_engine_and_no_other_surface():
    names = {name for file in FOLDER.glob("*.py") for name in imported(file)}
    assert {name.split(".")[1] for name in names if name.startswith("jobs.")} <= FACE
    assert not {name.split(".")[0] for name in names} & {"assistant", "tutors", "landing", "personas", "conversations"}
