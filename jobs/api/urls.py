from django.urls import path

from jobs.api.routing import viewers
from jobs.api.views import CancelView, EventsView, JobView, QuotaView, RetryView

app_name = "jobs"
urlpatterns = [
    path("jobs/<str:job_id>", JobView.as_view(), name="job"),
    path("jobs/<str:job_id>/events", EventsView.as_view(viewers=viewers), name="events"),
    path("jobs/<str:job_id>/cancel", CancelView.as_view(), name="cancel"),
    path("jobs/<str:job_id>/retry", RetryView.as_view(), name="retry"),
    path("quota", QuotaView.as_view(), name="quota"),
]
