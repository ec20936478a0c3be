from django.urls import path

from tutors import api, pages

app_name = "tutors"
_course = "api/tutors/courses/<str:course_id>"
_draft = f"{_course}/drafts/<int:draft_id>"
urlpatterns = [
    path("tutor/courses/<slug:slug>/", pages.copilot, name="copilot"),
    path("tutor/courses/<slug:slug>/questions/<int:question_id>/", pages.thread, name="thread"),
    path(f"{_course}/copilot", api.CopilotView.as_view(), name="query"),
    path(f"{_course}/insights", api.InsightsView.as_view(), name="insights"),
    path(f"{_course}/questions/<int:question_id>/thread", api.ThreadView.as_view(), name="api-thread"),
    path(f"{_course}/drafts", api.DraftListView.as_view(), name="drafts"),
    path(_draft, api.DraftView.as_view(), name="draft"),
    path(f"{_draft}/accept", api.AcceptView.as_view(), name="accept"),
    path(f"{_draft}/discard", api.DiscardView.as_view(), name="discard"),
    path(f"{_draft}/regenerate", api.RegenerateView.as_view(), name="regenerate"),
]
