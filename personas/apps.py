from django.apps import AppConfig


class PersonasConfig(AppConfig):
    name = "personas"
    verbose_name = "Personas"

    def ready(self) -> None:
        """Register the surface's kinds of jobs with the engine, and what it knows of a person's tone."""
        from accounts import tone
        from personas import kinds, rows  # noqa: F401

        tone.register(rows.tone_of)
