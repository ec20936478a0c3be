"""The URL configuration."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from jobs.admin import queues
from jobs.admin.breakers import breakers
from landing.pages import home

urlpatterns = [
    path("", home, name="home"),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("", include("courses.urls")),
    path("", include("assistant.urls")),
    path("", include("landing.urls")),
    path("", include("personas.urls")),
    path("", include("tutors.urls")),
    path("api/", include("accounts.urls")),
    path("api/", include("conversations.urls")),
    path("api/", include("jobs.api.urls")),
    path(
        "api/schema",
        SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]),
        name="schema",
    ),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", authentication_classes=[], permission_classes=[]),
        name="docs",
    ),
    path("admin/django-rq/", include(queues.urls)),
    path("admin/upstream/", admin.site.admin_view(breakers), name="upstream"),
    path("admin/", admin.site.urls),
]
handler400 = "config.errors.bad_request"
handler403 = "config.errors.permission_denied"
handler404 = "config.errors.page_not_found"
handler500 = "config.errors.server_error"
