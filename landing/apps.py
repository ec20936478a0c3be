from django.apps import AppConfig


class LandingConfig(AppConfig):
    name = "landing"
    verbose_name = "Landing page and its assistant"

    def ready(self) -> None:
        """Register the surface's kind of jobs with the engine, and what it wants to have deleted."""
        from jobs import kinds
        from landing import retention  # noqa: F401
        from landing.kinds import ANSWER

        kinds.register(ANSWER)
