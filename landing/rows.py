"""The site's tables as facts: the courses with their offers, the FAQ, the pages; those that fit the question first."""

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

FACT_TOKENS = 3000  # the most that the facts of one prompt take
MAX_COMPARED_COURSES = 20  # courses in the lists at a glance
MAX_QUERY_WORDS = 60
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


def offers() -> QuerySet[CourseOffer]:
    """What is for sale, with its courses."""
    return CourseOffer.objects.filter(is_published=True).select_related("course")


def facts_for(words: str) -> Facts:
    """The facts for a question in these words, as many as fit into a prompt."""
    on_sale = list(offers())
    about = {offer.course_id: _about(offer) for offer in on_sale}
    sources: list[tuple[float, Fact]] = [
        *((course.rank, about[course.pk]) for course in _ranked(_courses(about), words, "title", "summary")),
        *((entry.rank, _of_entry(entry)) for entry in _ranked(_published(FaqEntry), words, "question", "answer")),
        *((page.rank, _of_page(page)) for page in _ranked(_published(SitePage), words, "title", "body")),
    ]
    best_first = sorted(sources, key=lambda source: -source[0])
    entries = _within_budget([*_comparisons(on_sale), *(fact for _, fact in best_first)])
    return Facts(entries=entries, values=quotable(on_sale))


def quotable(on_sale: Iterable[CourseOffer]) -> dict[str, str]:
    """What placeholders stand for. The only place where a row becomes a price or a date that people read."""
    values = {}
    for offer in on_sale:
        slug = offer.course.slug
        values[f"price:{slug}"] = price(offer)
        values[f"start:{slug}"] = start(offer)
        values[f"seats:{slug}"] = "no limit" if offer.seats is None else str(offer.seats)
    return values


def price(offer: CourseOffer) -> str:
    """The price in words: "€49", "CHF 120.50", "free of charge"."""
    if not offer.price:
        return "free of charge"
    whole = offer.price == offer.price.to_integral_value()
    amount = f"{offer.price.quantize(Decimal(1)) if whole else offer.price:,}"
    symbol = _SYMBOLS.get(offer.currency)
    return f"{symbol}{amount}" if symbol else f"{offer.currency} {amount}"


def start(offer: CourseOffer) -> str:
    """The start in words: "2 March 2027", "any time"."""
    if offer.starts_on is None:
        return "any time"
    return date_format(offer.starts_on, "j F Y") if is_ahead(offer) else "a date that is not fixed yet"


def is_ahead(offer: CourseOffer) -> bool:
    """Whether the course has a start that is still to come."""
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
    """The courses at a glance, and in order: the model is not told the figures, so it cannot compare them itself."""
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
        left -= _most_tokens(as_data([fact]))
        if left < 0:
            break
        kept.append(fact)
    return kept


def _most_tokens(text: str) -> int:
    """More tokens than the text is likely to take in any script: the budget rests on it."""
    return -(-len(text.encode()) // 3)


def _courses(about: dict[int, Fact]) -> QuerySet[Any]:
    return Course.objects.filter(pk__in=about)


def _published(model: type[FaqEntry] | type[SitePage]) -> QuerySet[Any]:
    return model._default_manager.filter(is_published=True)


def _ranked(rows: QuerySet[Any], words: str, *fields: str) -> QuerySet[Any]:
    """The rows with how well they fit. The tables are small: nothing is indexed, and what does not fit ranks 0."""
    either = " or ".join(re.findall(r"\w+", words)[:MAX_QUERY_WORDS])
    if not either:
        return rows.annotate(rank=Value(0.0, FloatField()))
    query = SearchQuery(either, config="english", search_type="websearch")
    return rows.annotate(rank=SearchRank(SearchVector(*fields, config="english"), query))
