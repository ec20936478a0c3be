"""A learner's profile over HTTP: create, read, correct, delete."""

import json

import pytest
from django.forms.models import model_to_dict

from accounts import tone
from jobs.models import AiCall, AiJob
from personas.models import Persona, Profile
from tests.personas.conftest import MAKER, run
from tests.support import Platform, error_of

URL = "/api/personas/profile"


def post(client, answers=MAKER, key="key-1"):
    return client.post(URL, json={"answers": answers}, headers={"Idempotency-Key": key})


def answered(client) -> AiJob:
    response = post(client)
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == response.json()["links"]["self"]
    return AiJob.objects.get(pk=response.json()["jobId"])


@pytest.fixture
def known(api, learner) -> Profile:
    """The profile of a learner with a classified persona."""
    assert run(answered(api)).status == "completed"
    return Profile.objects.get(user=learner)


def test_answers_give_a_persona_with_quotes_as_reasons(api, learner):
    job = answered(api)
    waiting = api.get(URL).json()
    assert (waiting["personaId"], waiting["activeJobId"]) == (None, str(job.pk))
    assert [answer["answer"] for answer in waiting["answers"]] == list(MAKER.values())
    assert run(job).status == "completed"
    profile = api.get(URL).json()
    assert profile["persona"]["name"] == "Hands-on maker" and profile["personaId"] == "hands-on-maker"
    assert 0.6 <= profile["confidence"] <= 1 and profile["decidedBy"] == "model" and profile["activeJobId"] is None
    texts = {answer["question"]: answer["answer"] for answer in profile["answers"]}
    assert profile["reasons"] and all(reason["quote"] in texts[reason["question"]] for reason in profile["reasons"])
    row = api.get(f"/api/jobs/{job.pk}").json()
    assert row["result"] == {"personaId": "hands-on-maker", "confidence": profile["confidence"]}
    stored = Profile.objects.get(user=learner)
    assert stored.personas_version and stored.prompt_version and stored.model == AiCall.objects.get().model


def test_learners_words_are_stored_only_in_the_profile(known):
    words = known.reasons[0]["quote"]
    rows = [model_to_dict(row) for model in (AiJob, AiCall) for row in model.objects.all()]
    assert rows and words not in json.dumps(rows, default=str)


def test_low_confidence_gives_no_persona(api, monkeypatch):
    monkeypatch.setattr("personas.pipeline.MIN_CONFIDENCE", 1.0)
    assert run(answered(api)).result["personaId"] == "unknown"
    profile = api.get(URL).json()
    assert (profile["personaId"], profile["persona"]) == ("unknown", None) and profile["reasons"]


def test_same_key_gives_the_same_job_and_another_key_is_409_while_it_is_active(api):
    job = answered(api)
    assert post(api).json()["jobId"] == str(job.pk)
    assert error_of(post(api, MAKER | {"goal": "Another."}), 422)
    error = error_of(post(api, MAKER | {"goal": "Another."}, key="key-2"), 409)
    assert error["details"] == {"jobId": str(job.pk)}
    assert AiJob.objects.count() == 1 and Profile.objects.get().answers[0]["answer"] == MAKER["goal"]


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({key: text for key, text in MAKER.items() if key != "goal"}, "goal"),
        (MAKER | {"goal": "  "}, "goal"),
        (MAKER | {"goal": "x" * 1001}, "goal"),
        (MAKER | {"goal": "a\0b"}, "goal"),
        (MAKER | {"goal": ["x"]}, "goal"),
        (MAKER | {"time": "A year"}, "time"),
        (MAKER | {"shoe-size": "42"}, "shoe-size"),
    ],
)
def test_bad_answers_are_400_and_named(api, answers, field):
    assert list(error_of(post(api, answers), 400)["details"]["answers"]) == [field]
    assert not AiJob.objects.exists() and not Profile.objects.exists()


def test_profile_is_accessible_to_its_learner_only(platform: Platform, known, stranger, anonymous):
    with platform.client(stranger) as client:
        error_of(client.get(URL), 404)
        error_of(client.patch(URL, json={"personaId": "unknown"}), 404)
        error_of(client.delete(URL), 404)
    error_of(anonymous.get(URL), 401)
    assert Profile.objects.get() == known


def test_questions_and_personas_are_listed(api):
    questions = api.get("/api/personas/questionnaire").json()["questions"]
    assert set(MAKER) < {question["key"] for question in questions}
    assert MAKER["way"] in next(question for question in questions if question["key"] == "way")["options"]
    assert "hands-on-maker" in [persona["personaId"] for persona in api.get("/api/personas").json()["results"]]


def test_correction_wins_over_a_running_classification(api):
    job = answered(api)
    corrected = api.patch(URL, json={"personaId": "deep-thinker"}).json()
    assert (corrected["personaId"], corrected["decidedBy"]) == ("deep-thinker", "learner")
    assert run(job).status == "completed"
    assert api.get(URL).json() | {"activeJobId": None} == corrected | {"activeJobId": None}
    assert "result" not in api.get(f"/api/jobs/{job.pk}").json()
    assert AiCall.objects.count() == 0


def test_correction_to_unknown_is_accepted_and_to_a_missing_persona_refused(api, known):
    assert api.patch(URL, json={"personaId": "unknown"}).json()["personaId"] == "unknown"
    assert list(error_of(api.patch(URL, json={"personaId": "pirate"}), 400)["details"]) == ["personaId"]


def test_deleting_removes_all_text_and_cancels_the_job(api):
    job = answered(api)
    assert api.delete(URL).status_code == 204
    error_of(api.get(URL), 404)
    error_of(api.delete(URL), 404)
    job.refresh_from_db()
    assert job.status == "cancelled" and not Profile.objects.exists()


def test_tone_of_a_known_persona_reaches_the_assistant(known, stranger):
    assert "an example first" in tone.tone_of(known.user_id) and "quick" in tone.tone_of(known.user_id)
    assert tone.tone_of(stranger.pk) == ""
    Persona.objects.update(is_active=False)
    assert tone.tone_of(known.user_id) == ""


def test_invalid_output_is_requested_twice_and_fails_with_a_readable_error(api, simulator):
    simulator.fault("invalid_json")
    job = run(answered(api))
    assert (job.status, job.error_code, job.retryable) == ("failed", "upstream_invalid", True)
    assert "cannot be used" in job.error_message and AiCall.objects.count() == 2
    simulator.clear_faults()
    assert api.post(f"/api/jobs/{job.pk}/retry").status_code == 202
    assert run(job).status == "completed"
