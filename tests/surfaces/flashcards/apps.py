from django.apps import AppConfig


class FlashcardsConfig(AppConfig):
    name = "flashcards"
    verbose_name = "Flashcards"

    def ready(self) -> None:
        """Register the surface's kind with the engine, and its slot on the lesson page."""
        from config import slots
        from flashcards.kinds import CARDS
        from jobs import kinds

        kinds.register(CARDS)
        slots.register("lesson-tools", "flashcards/lesson_tools.html")
