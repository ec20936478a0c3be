from django.urls import include, path

from config.urls import *  # noqa: F403
from config.urls import urlpatterns

urlpatterns = [path("", include("flashcards.urls")), *urlpatterns]
