"""Removes the tables of django-axes that we do not fill (settings.AXES_*) from the admin."""

from axes.models import AccessFailureLog, AccessLog
from django.contrib import admin

admin.site.unregister([AccessLog, AccessFailureLog])
