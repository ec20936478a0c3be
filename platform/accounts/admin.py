"""Wrong passwords in the admin: of django-axes' tables the one that is in use (settings.AXES_*)."""

from axes.models import AccessFailureLog, AccessLog
from django.contrib import admin

admin.site.unregister([AccessLog, AccessFailureLog])
