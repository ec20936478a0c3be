from django.urls import path

from personas import pages
from personas.api import PersonasView, ProfileView, QuestionnaireView

app_name = "personas"
urlpatterns = [
    path("profile/learning/", pages.learning_profile, name="profile"),
    path("api/personas", PersonasView.as_view(), name="personas"),
    path("api/personas/questionnaire", QuestionnaireView.as_view(), name="questionnaire"),
    path("api/personas/profile", ProfileView.as_view(), name="profile-api"),
]
