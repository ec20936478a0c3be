from django.urls import path

from accounts.api import TokenView, WsTicketView

app_name = "accounts"
urlpatterns = [
    path("auth/token", TokenView.as_view(), name="token"),
    path("ws-ticket", WsTicketView.as_view(), name="ws-ticket"),
]
