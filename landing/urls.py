from django.urls import path

from landing import pages
from landing.api import ContactView, QueryView

app_name = "landing"
urlpatterns = [
    path("pages/<slug:slug>/", pages.page, name="page"),
    path("api/landing-assistant/query", QueryView.as_view(), name="query"),
    path("api/landing-assistant/contact", ContactView.as_view(), name="contact"),
]
