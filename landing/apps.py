from django.apps import AppConfig


class LandingConfig(AppConfig):
    name = "landing"
    verbose_name = "Landing page and its assistant"

    def ready(self) -> None:
        """Register the surface's kind of jobs with the engine."""
        from landing import jobs  # noqa: F401
