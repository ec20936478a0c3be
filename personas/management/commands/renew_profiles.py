from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.http.parsers import is_storable
from jobs.submission import SubjectBusy
from personas import actions, versions
from personas.kinds import submit_renewals
from personas.models import Profile


class Command(BaseCommand):
    help = "Classify learning profiles again in the background: all stale ones, or that of one learner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="Only this learner, even if the profile is not stale.")

    def handle(self, *args: Any, username: str | None, **options: Any) -> None:
        if username:
            return self._renew_one(username)
        stale = Profile.objects.stale(versions.current()).count()
        try:
            job = actions.renew_all()
        except SubjectBusy:
            raise CommandError("A batch is already active; cancel its job to end it.") from None
        self.stdout.write(f"{stale} profiles are stale; job {job.pk} classifies them again")

    def _renew_one(self, username: str) -> None:
        profile = Profile.objects.filter(user__username=username).first() if is_storable(username) else None
        if profile is None:
            raise CommandError(f"{username} has no learning profile.")
        if profile.source != Profile.Source.MODEL:
            raise CommandError(f"The profile of {username} was decided by {profile.source} and is not changed.")
        if not submit_renewals([profile]):
            raise CommandError(f"The profile of {username} is already being classified.")
        self.stdout.write(f"Submitted a job that classifies the profile of {username} again")
