from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        """Register the summary kind with the engine, and the rating on the admin page of a job."""
        from config.admin import register_inline
        from conversations.admin import RatingInline
        from conversations.kinds import SUMMARY
        from jobs import kinds
        from jobs.models import AiJob

        kinds.register(SUMMARY)
        register_inline(AiJob, RatingInline)
