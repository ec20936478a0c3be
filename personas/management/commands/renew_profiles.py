from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.submission import SubjectBusy
from personas import actions, versions
from personas.kinds import submit_renewals
from personas.models import Profile


class Command(BaseCommand):
    help = "Have learning profiles classified again, in the background: all of an old version, or one learner's."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="Only this learner, whatever the version.")

    def handle(self, *args: Any, username: str | None, **options: Any) -> None:
        if username:
            return self._renew_one(username)
        stale = Profile.objects.stale(versions.current()).count()
        try:
            job = actions.renew_all()
        except SubjectBusy:
            raise CommandError("A batch is under way already; end it by cancelling its job.") from None
        self.stdout.write(f"{stale} profiles are of an old version; job {job.pk} has them classified again")

    def _renew_one(self, username: str) -> None:
        profile = Profile.objects.filter(user__username=username).first()
        if profile is None:
            raise CommandError(f"{username} has no learning profile.")
        if profile.source != Profile.Source.MODEL:
            raise CommandError(f"The profile of {username} was decided by {profile.source} and stays as it is.")
        if not submit_renewals([profile]):
            raise CommandError(f"The profile of {username} is being classified at the moment.")
        self.stdout.write(f"The profile of {username} is classified again")
