from django.urls import path

from conversations.api import ConversationView, ExportView, ListView, RatingView

app_name = "conversations"
urlpatterns = [
    path("conversations", ListView.as_view(), name="list"),
    path("conversations/<str:conversation_id>", ConversationView.as_view(), name="conversation"),
    path("conversations/<str:conversation_id>/export", ExportView.as_view(), name="export"),
    path("conversations/<str:conversation_id>/messages/<str:message_id>/rating", RatingView.as_view(), name="rating"),
]
