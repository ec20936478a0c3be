"""The admin of personas, for content staff and support staff."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User

from jobs.models import AiJob
from personas import questionnaires
from personas.kinds import BATCH, submit_renewals
from personas.models import Persona, Profile, Questionnaire
from tests.personas.conftest import new_profile
from tests.support import Platform, password_hash, unique

PROFILES = "/admin/personas/profile/"
QUESTIONNAIRES = "/admin/personas/questionnaire/"


@pytest.fixture
def admin(platform: Platform, staff):
    with platform.browser_session(staff) as client:
        yield client


def text_of(response) -> str:
    assert response.status_code == 200, response.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.text))


def act(client, url, action, *rows) -> str:
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return text_of(client.post(url, data=form, follow_redirects=True))


def test_published_version_is_edited_through_a_copy_only(admin):
    first = questionnaires.current()
    assert admin.post(f"{QUESTIONNAIRES}{first.pk}/change/", data={"title": "x"}).status_code == 403
    act(admin, QUESTIONNAIRES, "copy", first)
    draft = Questionnaire.objects.get(version=None)
    assert questionnaires.current() == first
    draft.questions.filter(key="goal").update(text="What for?")
    assert "learners now answer" in act(admin, QUESTIONNAIRES, "publish", draft)
    assert "already published" in act(admin, QUESTIONNAIRES, "publish", draft)
    assert questionnaires.current() == draft and questionnaires.current().version == first.version + 1
    assert first.questions.get(key="goal").text != "What for?"
    empty = Questionnaire.objects.create(title="Empty")
    assert "no questions yet" in act(admin, QUESTIONNAIRES, "publish", empty)


def test_learner_sees_that_the_questionnaire_is_newer(api, profile):
    assert api.get("/api/personas/profile").json()["isCurrent"]
    draft = questionnaires.copy(questionnaires.current())
    questionnaires.publish(draft)
    told = api.get("/api/personas/profile").json()
    assert not told["isCurrent"] and told["questionnaireVersion"] == draft.version - 1


def test_persona_cannot_be_named_unknown(admin):
    form = {"key": "unknown", "name": "U", "description": "d", "tone": "t", "pace": "p"}
    assert "means that no persona fits" in text_of(admin.post("/admin/personas/persona/add/", data=form))
    assert not Persona.objects.filter(key="unknown").exists()


def test_staff_override_persists_and_access_is_logged(admin, staff, profile):
    url = f"{PROFILES}{profile.pk}/change/"
    assert "learn by practice" in text_of(admin.get(url))
    assert LogEntry.objects.get(user=staff, object_id=str(profile.pk)).change_message == "Opened."
    persona = Persona.objects.get(key="deep-thinker")
    assert admin.post(url, data={"persona": persona.pk}).status_code == 302
    profile.refresh_from_db()
    assert (profile.persona, profile.source, profile.revision) == (persona, Profile.Source.STAFF, 2)
    assert admin.post(url, data={"persona": persona.pk}).status_code == 302  # nothing changed
    profile.refresh_from_db()
    assert profile.revision == 2


def test_selected_profiles_are_classified_again_unless_people_decided(admin, profile):
    decided = new_profile(source="learner")
    text = act(admin, PROFILES, "renew", profile, decided)
    assert "Submitted 1 profile(s)" in text and "Skipped 1 profile(s)" in text
    assert AiJob.objects.get().subject == profile.subject
    act(admin, PROFILES, "drop_and_renew", decided)
    decided.refresh_from_db()
    job = AiJob.objects.get(subject=decided.subject)
    assert decided.source == "model" and job.payload == {"profileId": decided.pk, "revision": decided.revision}


def test_large_selection_requires_the_batch(admin, profile, monkeypatch):
    rows = [profile, *(new_profile() for _ in range(25))]
    assert "Select at most 25" in act(admin, PROFILES, "renew", *rows)
    assert "again (26)" in text_of(admin.get(PROFILES))
    assert "cancel it to stop" in text_of(admin.post(f"{PROFILES}renew-all/", follow_redirects=True))
    assert "already doing this" in text_of(admin.post(f"{PROFILES}renew-all/", follow_redirects=True))
    assert AiJob.objects.get().kind == BATCH.name


def test_staff_with_view_permission_change_nothing(platform: Platform, profile):
    user = User.objects.create(username=unique("test-looker"), password=password_hash(), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_profile"))
    with platform.browser_session(user) as looker:
        assert "learn by practice" in text_of(looker.get(f"{PROFILES}{profile.pk}/change/"))
        assert looker.post(f"{PROFILES}{profile.pk}/change/", data={"persona": ""}).status_code == 403
        assert looker.post(f"{PROFILES}renew-all/").status_code == 403
        act(looker, PROFILES, "renew", profile)
    assert not AiJob.objects.exists()


def test_deleting_in_the_admin_cancels_the_job(admin, profile):
    submit_renewals([profile])
    assert admin.post(f"{PROFILES}{profile.pk}/delete/", data={"post": "yes"}).status_code == 302
    assert AiJob.objects.get().status == "cancelled" and not Profile.objects.exists()
