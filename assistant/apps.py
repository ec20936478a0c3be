from django.apps import AppConfig


class AssistantConfig(AppConfig):
    name = "assistant"
    verbose_name = "Course assistant"

    def ready(self) -> None:
        """Register the surface's kinds of jobs."""
        from assistant.kinds import ANSWER, EMBEDDING, SUGGESTIONS
        from jobs import kinds

        kinds.register(ANSWER, SUGGESTIONS, EMBEDDING)
