from django.apps import AppConfig


class CoursesConfig(AppConfig):
    name = "courses"

    def ready(self) -> None:
        """Register the navigation link to the courses."""
        from config import slots

        slots.register("navigation", "courses/navigation.html")
