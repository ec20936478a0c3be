from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        """Register the summaries with the engine."""
        from conversations import kinds  # noqa: F401
