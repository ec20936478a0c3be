from django.apps import AppConfig


class PersonasConfig(AppConfig):
    name = "personas"
    verbose_name = "Personas"

    def ready(self) -> None:
        """Register the surface's kinds, its source of tones, and the navigation link to the profile."""
        from accounts import tone
        from config import slots
        from jobs import kinds
        from personas.kinds import BATCH, PROFILE, RENEWAL
        from personas.rows import tone_of

        kinds.register(PROFILE, RENEWAL, BATCH)
        tone.register(tone_of)
        slots.register("navigation", "personas/navigation.html")
