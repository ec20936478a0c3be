from django.apps import AppConfig


class AssistantConfig(AppConfig):
    name = "assistant"
    verbose_name = "Course assistant"

    def ready(self) -> None:
        """Register the surface's kinds, and its slots on course and lesson pages."""
        from assistant.kinds import ANSWER, EMBEDDING, SUGGESTIONS
        from config import slots
        from jobs import kinds

        kinds.register(ANSWER, SUGGESTIONS, EMBEDDING)
        slots.register("course-links", "assistant/course_link.html")
        slots.register("lesson-tools", "assistant/lesson_tools.html")
