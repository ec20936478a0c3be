"""The demo site: offers, FAQ and pages. Rows that exist are not overwritten, since staff may have edited them."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from courses.models import Course
from landing.models import CourseOffer, FaqEntry, SitePage

SITE = Path(__file__).parent / "site.toml"


def load() -> None:
    """Create the rows that do not exist."""
    site = tomllib.loads(SITE.read_text())
    for slug, offer in site["offers"].items():
        _offer(slug, **offer)
    for position, entry in enumerate(site["faq"]):
        FaqEntry.objects.get_or_create(
            question=entry["question"], defaults={"answer": entry["answer"], "position": position}
        )
    for position, (slug, page) in enumerate(site["pages"].items()):
        SitePage.objects.get_or_create(slug=slug, defaults={**page, "position": position})


def _offer(slug: str, weeks: int | None = None, **offer: Any) -> None:
    """Create an offer whose course starts on a Monday in `weeks` weeks; move a start date that has passed."""
    course = Course.objects.filter(slug=slug).first()
    if course is None:
        return
    today = timezone.now().date()
    starts_on = today + timedelta(days=7 - today.weekday(), weeks=weeks - 1) if weeks else None
    row, is_new = CourseOffer.objects.get_or_create(course=course, defaults={**offer, "starts_on": starts_on})
    if not is_new and row.starts_on and row.starts_on < today:
        CourseOffer.objects.filter(pk=row.pk).update(starts_on=starts_on)
