from django.apps import AppConfig


class TutorsConfig(AppConfig):
    name = "tutors"
    verbose_name = "Tutor copilot"

    def ready(self) -> None:
        """Register the surface's kinds of jobs."""
        from jobs import kinds
        from tutors.kinds import COPILOT, REDRAFT

        kinds.register(COPILOT, REDRAFT)
