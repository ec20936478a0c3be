"""Database access of the landing assistant: turns offers, FAQ entries and pages into facts, best matches first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db.models import FloatField, QuerySet, Value
from django.utils import timezone
from django.utils.formats import date_format

from courses.models import Course
from landing.facts import Fact, Facts, as_data
from landing.models import CourseOffer, FaqEntry, SitePage

FACT_TOKENS = 3000  # the maximum for the facts of one prompt
MAX_COMPARED_COURSES = 20  # in the comparison lists
MAX_QUERY_WORDS = 60
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


def offers() -> QuerySet[CourseOffer]:
    """Return the published offers with their courses."""
    return CourseOffer.objects.filter(is_published=True).select_related("course")


def facts_for(words: str) -> Facts:
    """Return the facts for a question with these words, as many as fit into FACT_TOKENS."""
    on_sale = list(offers())
    about = {offer.course_id: _about(offer) for offer in on_sale}
    courses = Course.objects.filter(pk__in=about)
    sources: list[tuple[float, Fact]] = [
        *((course.rank, about[course.pk]) for course in _ranked(courses, words, "title", "summary")),
        *((entry.rank, _of_entry(entry)) for entry in _ranked(_published(FaqEntry), words, "question", "answer")),
        *((page.rank, _of_page(page)) for page in _ranked(_published(SitePage), words, "title", "body")),
    ]
    best_first = sorted(sources, key=lambda source: -source[0])
    entries = _within_budget([*_comparisons(on_sale), *(fact for _, fact in best_first)])
    return Facts(entries=entries, values=quotable(on_sale))


def quotable(on_sale: Iterable[CourseOffer]) -> dict[str, str]:
    """Return the values of placeholders. Only here do rows become prices and dates that people read."""
    values = {}
    for offer in on_sale:
        slug = offer.course.slug
        values[f"price:{slug}"] = price(offer)
        values[f"start:{slug}"] = start(offer)
        values[f"seats:{slug}"] = "no limit" if offer.seats is None else str(offer.seats)
    return values


def price(offer: CourseOffer) -> str:
    """Format the price: "€49", "CHF 120.50", "free of charge"."""
    if not offer.price:
        return "free of charge"
    whole = offer.price == offer.price.to_integral_value()
    amount = f"{offer.price.quantize(Decimal(1)) if whole else offer.price:,}"
    symbol = _SYMBOLS.get(offer.currency)
    return f"{symbol}{amount}" if symbol else f"{offer.currency} {amount}"


def start(offer: CourseOffer) -> str:
    """Format the start: "2 March 2027", "any time"."""
    if offer.starts_on is None:
        return "any time"
    return date_format(offer.starts_on, "j F Y") if is_ahead(offer) else "a date that is not fixed yet"


def is_ahead(offer: CourseOffer) -> bool:
    """Return whether the course has a start date in the future."""
    return offer.starts_on is not None and offer.starts_on >= timezone.now().date()


def _about(offer: CourseOffer) -> Fact:
    course = offer.course
    text = (
        f"{course.summary}\nThe price of the course {course.title} is {{{{price:{course.slug}}}}}.\n"
        f"The course {course.title} starts: {{{{start:{course.slug}}}}}.\n"
        f"Free seats in the course {course.title}: {{{{seats:{course.slug}}}}}."
    )
    return Fact(title=course.title, text=text, url=f"/#course-{course.slug}")


def _of_entry(entry: FaqEntry) -> Fact:
    return Fact(title=entry.question, text=entry.answer, url="/#faq")


def _of_page(page: SitePage) -> Fact:
    return Fact(title=page.title, text=page.body, url=page.get_absolute_url())


def _comparisons(on_sale: list[CourseOffer]) -> list[Fact]:
    """Return lists of the courses by price and start. The model does not see the figures, so it cannot sort them."""
    by_price = [o for o in sorted(on_sale, key=lambda o: o.price) if len({o.currency for o in on_sale}) == 1]
    by_start = sorted(filter(is_ahead, on_sale), key=lambda o: o.starts_on or timezone.now().date())
    lists = (
        ("The school offers these courses", on_sale),
        ("The courses from the cheapest to the dearest", by_price),
        ("The courses in the order of their start, the next first", by_start),
    )
    return [
        Fact(
            title=title,
            text=f"{title}: {'; '.join(o.course.title for o in ordered[:MAX_COMPARED_COURSES])}.",
            url="/#courses",
        )
        for title, ordered in lists
        if ordered
    ]


def _within_budget(facts: Iterable[Fact]) -> list[Fact]:
    kept, left = [], FACT_TOKENS
    for fact in facts:
        left -= -(-len(as_data([fact]).encode()) // 3)  # an upper bound on tokens in any script; the budget needs it
        if left < 0:
            break
        kept.append(fact)
    return kept


def _published(model: type[FaqEntry] | type[SitePage]) -> QuerySet[Any]:
    return model._default_manager.filter(is_published=True)


def _ranked(rows: QuerySet[Any], words: str, *fields: str) -> QuerySet[Any]:
    """Annotate rows with their full-text rank, 0 without a match. The tables are small, so there is no index."""
    either = " or ".join(re.findall(r"\w+", words)[:MAX_QUERY_WORDS])
    if not either:
        return rows.annotate(rank=Value(0.0, FloatField()))
    query = SearchQuery(either, config="english", search_type="websearch")
    return rows.annotate(rank=SearchRank(SearchVector(*fields, config="english"), query))
