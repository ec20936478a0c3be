"""The entrance."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


def home(request: HttpRequest) -> HttpResponse:
    """To the courses; who is not signed in yet is asked to."""
    return redirect("courses:list" if request.user.is_authenticated else "login")
