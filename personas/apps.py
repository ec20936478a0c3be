from django.apps import AppConfig


class PersonasConfig(AppConfig):
    name = "personas"
    verbose_name = "Personas"

    def ready(self) -> None:
        """Register the surface's kinds of jobs with the engine, and what it knows of a person's tone."""
        from accounts import tone
        from jobs import kinds
        from personas import rows
        from personas.kinds import BATCH, PROFILE, RENEWAL

        kinds.register(PROFILE, RENEWAL, BATCH)
        tone.register(rows.tone_of)
