from django.apps import AppConfig


class CoursesConfig(AppConfig):
    name = "courses"

    def ready(self) -> None:
        """Register the link to the person's courses."""
        from config import slots

        slots.register("navigation", "courses/navigation.html")
