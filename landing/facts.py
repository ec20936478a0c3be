"""Facts for a prompt, and the amounts and dates that answers may quote. Does not use the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pydantic import BaseModel

from landing import quotes


class Fact(BaseModel):
    """A piece of the site: an offer, an FAQ answer, a page. `url` is where visitors read it."""

    title: str
    text: str
    url: str


class Facts(BaseModel):
    """Everything that an answer may use. `values` holds the values of placeholders: {"price:sql": "€49"}."""

    entries: Sequence[Fact]
    values: dict[str, str]

    @property
    def stated(self) -> frozenset[str]:
        """The amounts and dates that appear in the facts. Answers may repeat them verbatim."""
        return quotes.amounts_in(f"{fact.title}\n{fact.text}" for fact in self.entries)


def as_data(facts: Iterable[Fact]) -> str:
    """Render facts for a prompt. Their text is escaped, so it cannot open or close a tag."""
    blocks = (
        f'<fact title="{escape(fact.title)}" url="{escape(fact.url)}">\n{escape(fact.text, quote=False)}\n</fact>'
        for fact in facts
    )
    return "\n".join(["<facts>", *blocks, "</facts>"])
