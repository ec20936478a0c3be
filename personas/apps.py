from django.apps import AppConfig


class PersonasConfig(AppConfig):
    name = "personas"
    verbose_name = "Personas"

    def ready(self) -> None:
        """Register the surface's kinds of jobs, and what it knows of a person's tone."""
        from accounts import tone
        from jobs import kinds
        from personas.kinds import BATCH, PROFILE, RENEWAL
        from personas.rows import tone_of

        kinds.register(PROFILE, RENEWAL, BATCH)
        tone.register(tone_of)
