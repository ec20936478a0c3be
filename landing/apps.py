from django.apps import AppConfig


class LandingConfig(AppConfig):
    name = "landing"
    verbose_name = "Landing page and its assistant"

    def ready(self) -> None:
        """Register the surface's kind, and its part of retention."""
        from jobs import kinds, retention
        from landing.kinds import ANSWER
        from landing.retention import CONVERSATIONS

        kinds.register(ANSWER)
        retention.register(CONVERSATIONS)
