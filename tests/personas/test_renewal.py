"""Renewal of outdated profiles: which are outdated, which are exempt, and the low-priority batch."""

import asyncio
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs import kinds
from jobs.models import AiJob
from jobs.submission import SubjectBusy
from jobs.tasks import run_job
from personas import actions, versions
from personas.kinds import MAX_ACTIVE_RENEWALS, RENEWAL, submit_renewals
from personas.models import Persona, Profile
from tests.personas.conftest import new_profile, run
from tests.support import database, eventually


def stale():
    return set(Profile.objects.stale(versions.current()))


def renewals():
    return AiJob.objects.filter(kind=RENEWAL.name)


@pytest.fixture
def fresh(profile) -> Profile:
    submit_renewals([profile])
    assert run(renewals().get()).status == "completed"
    renewals().delete()
    profile.refresh_from_db()
    return profile


def test_profile_is_outdated_when_any_of_its_inputs_changed(fresh, settings, monkeypatch):
    assert stale() == set()
    Persona.objects.filter(key="hands-on-maker").update(tone="as a pirate")  # the tone, not the persona
    assert stale() == set()
    settings.LLM_FAST_MODEL = "another-model"
    assert stale() == {fresh}
    settings.LLM_FAST_MODEL = fresh.model
    monkeypatch.setattr("personas.pipeline.VERSIONED", ["another prompt"])
    assert stale() == {fresh}
    monkeypatch.undo()
    Persona.objects.filter(key="deep-thinker").update(description="Thinks at night.")
    assert stale() == {fresh}


def test_personas_decided_by_people_are_never_outdated(fresh):
    actions.decide(fresh, None, Profile.Source.STAFF)
    Persona.objects.filter(key="deep-thinker").update(description="Thinks at night.")
    assert stale() == set()


def test_renewal_is_a_background_job_of_the_system(profile):
    assert submit_renewals([profile, profile]) == 1  # one at a time
    job = renewals().get()
    assert (job.owner_id, job.visitor, job.queue, kinds.get(job.kind).priority) == (None, "", "background", 2)
    assert str(profile.answers) not in str(job.payload)


def test_learners_change_wins_over_a_running_renewal(profile):
    submit_renewals([profile])
    actions.decide(profile, None, Profile.Source.LEARNER)
    assert run(renewals().get()).status == "completed"
    profile.refresh_from_db()
    assert (profile.persona, profile.source) == (None, "learner")


class Crew:
    """Runs renewals as a worker would."""

    async def work(self, feeder: asyncio.Task) -> None:
        while not feeder.done() or await database.call(self._active):
            ids = await database.call(self._active)
            await asyncio.gather(*(run_job(str(pk)) for pk in ids))
            await asyncio.sleep(0.02)

    def _active(self):
        return list(renewals().active().values_list("pk", flat=True))


async def test_batch_submits_few_at_a_time_and_tries_each_once(personas, simulator, monkeypatch):
    monkeypatch.setattr("personas.kinds.RENEWAL_INTERVAL_SECONDS", 0.005)
    simulator.set(first_token=0, token_interval=0)
    profiles = await database.call(lambda: [new_profile() for _ in range(2 * MAX_ACTIVE_RENEWALS + 3)])
    decided = await database.call(new_profile, source="learner")
    simulator.fault("400", times=1)
    batch = await database.call(actions.renew_all)
    with pytest.raises(SubjectBusy):
        await database.call(actions.renew_all)
    feeder = asyncio.create_task(run_job(str(batch.pk)))
    await eventually(lambda: renewals().count() >= MAX_ACTIVE_RENEWALS)
    await asyncio.sleep(0.1)  # enough time for more submissions, if they were not limited
    assert await database.call(renewals().count) == MAX_ACTIVE_RENEWALS
    await Crew().work(feeder)
    await database.call(batch.refresh_from_db)
    assert (batch.status, batch.result) == ("completed", {"submitted": len(profiles)})
    assert len(await database.call(stale)) == 1  # the refused one, once
    assert await database.call(renewals().filter(status="failed").count) == 1
    assert await database.call(renewals().count) == len(profiles)
    await database.call(decided.refresh_from_db)
    assert decided.classified_at is None


async def test_batch_that_only_fails_is_stopped(personas, simulator, monkeypatch):
    monkeypatch.setattr("personas.kinds.RENEWAL_INTERVAL_SECONDS", 0.005)
    await database.call(lambda: [new_profile() for _ in range(4 * MAX_ACTIVE_RENEWALS)])
    simulator.fault("quota")
    batch = await database.call(actions.renew_all)
    feeder = asyncio.create_task(run_job(str(batch.pk)))
    await Crew().work(feeder)
    await database.call(batch.refresh_from_db)
    assert (batch.status, batch.error_code) == ("failed", "renewals_failing")
    assert "not available at the moment" in batch.error_message
    assert MAX_ACTIVE_RENEWALS <= await database.call(renewals().count) < 3 * MAX_ACTIVE_RENEWALS


def test_restarted_batch_skips_finished_profiles(fresh):
    other = new_profile()
    assert run(actions.renew_all()).result == {"submitted": 1}
    assert renewals().get().payload["profileId"] == other.pk


def test_busy_background_queue_does_not_block_the_batch(profile, settings):
    settings.JOBS_PER_PERSON = 1
    AiJob.objects.bulk_create(
        AiJob(kind="x", queue="background", run_after=timezone.now() - timedelta(hours=1)) for _ in range(3)
    )
    assert run(actions.renew_all()).result == {"submitted": 1}


def test_command_renews_one_or_everybody(profile, learner, capsys):
    call_command("renew_profiles", learner.username)
    assert renewals().count() == 1
    with pytest.raises(CommandError, match="already being classified"):
        call_command("renew_profiles", learner.username)
    with pytest.raises(CommandError, match="no learning profile"):
        call_command("renew_profiles", "nobody")
    call_command("renew_profiles")
    assert "1 profiles are stale" in capsys.readouterr().out
    with pytest.raises(CommandError, match="already active"):
        call_command("renew_profiles")
    actions.decide(profile, None, Profile.Source.LEARNER)
    with pytest.raises(CommandError, match="decided by learner"):
        call_command("renew_profiles", learner.username)
