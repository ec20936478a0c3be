"""What the assistant may say: facts for a prompt, and the amounts and dates that may be quoted. Knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pydantic import BaseModel

from landing import quotes


class Fact(BaseModel):
    """A piece of the site: a course, an answer of the FAQ, a page. `url` is where visitors read it."""

    title: str
    text: str
    url: str


class Facts(BaseModel):
    """All that an answer may rest on. `values` holds what placeholders stand for: {"price:sql": "€49"}."""

    entries: Sequence[Fact]
    values: dict[str, str]

    @property
    def stated(self) -> frozenset[str]:
        """The amounts and dates that staff wrote down word for word, which may be repeated word for word."""
        return quotes.amounts_in(f"{fact.title}\n{fact.text}" for fact in self.entries)


def as_data(facts: Iterable[Fact]) -> str:
    """The facts as they stand in a prompt. Their text cannot close or open a tag."""
    blocks = (
        f'<fact title="{escape(fact.title)}" url="{escape(fact.url)}">\n{escape(fact.text, quote=False)}\n</fact>'
        for fact in facts
    )
    return "\n".join(["<facts>", *blocks, "</facts>"])
