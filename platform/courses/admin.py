from django.contrib import admin

from config.admin import LargeTableAdmin
from courses.models import Course, Enrollment, Lesson


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
