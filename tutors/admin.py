from __future__ import annotations

from django.contrib import admin

from config.admin import LargeTableAdmin, ReadOnly
from tutors.models import Draft


@admin.register(Draft)
class DraftAdmin(ReadOnly, LargeTableAdmin):
    list_display = ("id", "kind", "state", "course", "is_edited", "updated_at")
    list_filter = ("kind", "state", "course")
    list_select_related = ("course",)
    raw_id_fields = ("question", "job", "written_by")
    exclude = ("content",)  # tutors' and learners' words: the copilot's page shows them, to the course's tutors
