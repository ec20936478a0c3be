from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "AI jobs"

    def ready(self) -> None:
        """Register the engine's own kind of job."""
        from jobs import retention  # noqa: F401
