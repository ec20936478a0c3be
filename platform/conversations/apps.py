from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        """Register the summaries with the engine."""
        from conversations.kinds import SUMMARY
        from jobs import kinds

        kinds.register(SUMMARY)
