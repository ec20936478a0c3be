from django.apps import AppConfig


class TutorsConfig(AppConfig):
    name = "tutors"
    verbose_name = "Tutor copilot"

    def ready(self) -> None:
        """Register the surface's kinds, and the link to the copilot on course pages."""
        from config import slots
        from jobs import kinds
        from tutors.kinds import COPILOT, REDRAFT
        from tutors.pages import course_link

        kinds.register(COPILOT, REDRAFT)
        slots.register("course-links", "tutors/course_link.html", course_link)
