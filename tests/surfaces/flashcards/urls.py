from django.urls import path

from flashcards.api import CardsView

app_name = "flashcards"
urlpatterns = [path("api/flashcards", CardsView.as_view(), name="cards")]
