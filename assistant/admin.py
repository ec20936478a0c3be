from django.contrib import admin

from assistant.models import Guidance


@admin.register(Guidance)
class GuidanceAdmin(admin.ModelAdmin):
    list_display = ("course", "level")
    list_filter = ("level",)
    autocomplete_fields = ("course",)
