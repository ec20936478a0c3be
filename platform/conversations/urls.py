from django.urls import path

from conversations.api import ConversationView

app_name = "conversations"
urlpatterns = [
    path("conversations/<str:conversation_id>", ConversationView.as_view(), name="conversation"),
]
