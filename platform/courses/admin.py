from django.contrib import admin

from config.admin import LargeTableAdmin, ReadOnly
from courses.models import Course, Enrollment, Lesson, Passage


class LessonInline(admin.TabularInline):
    model = Lesson
    fields = ("position", "title", "slug")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Course)
class CourseAdmin(admin.ModelAdmin):
    list_display = ("title", "slug")
    search_fields = ("title", "slug")
    autocomplete_fields = ("tutors",)
    inlines = (LessonInline,)


@admin.register(Enrollment)
class EnrollmentAdmin(LargeTableAdmin):
    list_display = ("user", "course")
    list_filter = ("course",)
    list_select_related = ("user", "course")
    autocomplete_fields = ("user", "course")
    search_fields = ("user__username__istartswith",)


@admin.register(Passage)
class PassageAdmin(ReadOnly, admin.ModelAdmin):
    """What answers cite, and which of it the embedding model rejected. Passages are changed by ingestion only."""

    list_display = ("lesson", "heading", "course", "embedding_problem")
    list_filter = (("embedding_problem", admin.EmptyFieldListFilter), "course")
    list_select_related = ("lesson", "course")
    search_fields = ("heading", "text")
    fields = ("course", "lesson", "position", "heading", "text", "embedding_problem")
