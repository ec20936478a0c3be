"""The public pages: the landing page and the site's own pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from landing import rows
from landing.models import CourseOffer, FaqEntry, SitePage
from landing.quotes import fill


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the landing page; redirect signed-in users to their courses."""
    if request.user.is_authenticated:
        return redirect("courses:list")
    on_sale = list(rows.offers())
    values = rows.quotable(on_sale)
    faq = FaqEntry.objects.filter(is_published=True)
    context = {
        "offers": [_as_card(offer) for offer in on_sale],
        "faq": [(entry.question, fill(entry.answer, values)) for entry in faq],
        "pages": _pages(),
    }
    return render(request, "landing/home.html", context)


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one of the site's own pages."""
    shown = get_object_or_404(SitePage, slug=slug, is_published=True)
    body = fill(shown.body, rows.quotable(rows.offers()))
    return render(request, "landing/page.html", {"title": shown.title, "body": body, "pages": _pages()})


def _as_card(offer: CourseOffer) -> dict[str, object]:
    return {
        "course": offer.course,
        "price": rows.price(offer),
        "start": rows.start(offer),
        "is_open": offer.starts_on is None,
        "seats": offer.seats,
    }


def _pages() -> list[SitePage]:
    return list(SitePage.objects.filter(is_published=True).only("slug", "title"))
