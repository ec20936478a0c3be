"""Selects the sentences, lists and code of numbered sources that fit a question best, and cites them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby

from .text import correct, stems

SHORTEST, LONGEST, LONGEST_UNIT = 300, 640, 600  # characters of an answer, and of one unit
# Only the first words of a long question count, because correcting misspellings costs time.
MOST_WORDS = 100
# A source fits if it contains at least SOURCE_SHARE of the question's words; all sources together must contain
# KNOWN_SHARE. Measured on the demo courses: answerable questions pass, most unanswerable ones do not.
SOURCE_SHARE, KNOWN_SHARE = 0.5, 0.6
# A sentence that begins with one of these words depends on the sentence before it.
_LEANING = ("this", "it", "its", "these", "that", "those", "they", "such", "however", "but", "and", "so")
_FENCED = re.compile(r"^([ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z))", re.DOTALL | re.MULTILINE)
_NO_PROSE = re.compile(r"^[ \t]*(?:#{1,6}\s|\||[-*_]{3,}\s*$).*$", re.MULTILINE)
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,2}[.)])\s+")
_BLOCK = re.compile(rf"\n\s*\n|\n(?={_ITEM.pattern})")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`\"'(\[*_])")


@dataclass(frozen=True)
class Source:
    """A numbered text to answer from; `titles` are ordered from the outermost to the innermost."""

    n: int
    titles: tuple[str, ...]
    text: str

    @property
    def words(self) -> frozenset[str]:
        """The stems of text and titles."""
        return _stem_set("\n".join((*self.titles, self.text)))


@dataclass(frozen=True)
class Unit:
    """A piece of a source, its position, and its score."""

    n: int
    at: int
    text: str
    score: float


def answer(question: str, sources: Sequence[Source], context: str = "") -> str:
    """A short Markdown answer with citations, "" if no source fits. Deterministic.

    `context` is the text of earlier questions: it influences the choice, and replaces a question without content
    words ("Why is that?").
    """
    known: frozenset[str] = frozenset().union(*(source.words for source in sources))
    asked = {word for one in list(dict.fromkeys(stems(question)))[:MOST_WORDS] if (word := correct(one, known))}
    around = (_stem_set(context) & known) - asked
    needed = max(1.0, SOURCE_SHARE * len(asked))
    fitting = [source for source in sources if len((asked or around) & source.words) >= needed]
    if not fitting or len(asked & known) < KNOWN_SHARE * len(asked):
        return ""

    # Rare words weigh more than words that occur in every source.
    having = {word: sum(word in source.words for source in sources) for word in asked | around}
    rarity = {word: 1 + math.log((1 + len(sources)) / (1 + count)) for word, count in having.items()}

    def weigh(words: frozenset[str]) -> float:
        return sum(min(1.5, rarity[word]) / (1 if word in asked else 2) for word in rarity.keys() & words)

    return _render(_chosen(fitting, weigh, weigh(frozenset(rarity))))


@lru_cache(maxsize=2048)
def cut(text: str) -> tuple[str, ...]:
    """Cut Markdown into sentences, list items, and lists and code with their introductory sentence.

    Headings, rules, tables and long code are left out; long lists are split. Cached, because prompts repeat sources.
    """
    units: list[str] = []
    for at, part in enumerate(_FENCED.split(text)):
        if at % 2:
            code, fence = part.strip(), part.strip()[:3]
            code += "" if code.count(fence) > 1 else f"\n{fence}"  # the source ended inside the fence
            units.append(f"{units.pop()}\n\n{code}" if units and units[-1].endswith(":") else code)
            continue
        for block in _BLOCK.split(_NO_PROSE.sub("\n", part)):
            words = " ".join(line.strip().removeprefix("> ") for line in block.splitlines() if line.strip())
            item = _ITEM.sub("", words, count=1) if _ITEM.match(block) else ""
            if item and units and (units[-1].endswith(":") or kind_of(units[-1]) == "list"):
                units[-1] += f"\n- {item}"
            else:
                units += [f"- {item}"] if item else filter(None, _SENTENCE_END.split(words))
    pieces = (
        unit.splitlines()[1:] if kind_of(unit) == "list" and len(unit) > LONGEST_UNIT else [unit] for unit in units
    )
    return tuple(piece for piece in chain.from_iterable(pieces) if len(piece) <= LONGEST_UNIT)


def kind_of(unit: str) -> str:
    """The kind of a piece of Markdown: code, list (with its introduction), item or sentence."""
    if "```" in unit or "~~~" in unit:
        return "code"
    return "item" if unit.startswith("- ") else "list" if "\n- " in unit else "sentence"


def _chosen(sources: Sequence[Source], weigh: Callable[[frozenset[str]], float], total: float) -> list[Unit]:
    """The units that cover most of the question in few words: the best first, the others in source order.

    `total` is the weight of all words of the question.
    """
    units = []
    for source in sources:
        titled, before = 0.4 * weigh(_stem_set("\n".join(source.titles))), 0.0
        fits = (1 + 0.5 / source.n) * (0.5 + weigh(source.words) / total)  # found early, and of the whole question
        for at, text in enumerate(cut(source.text)):
            leans = text.endswith(":") or text.split(maxsplit=1)[0].lower().strip(",*_`") in _LEANING
            stands_alone = 0.5 if leans or kind_of(text) in ("code", "item") else 1.0
            score = fits * stands_alone * (weigh(_stem_set(text)) + titled) / (1 + len(text) / 800)
            units.append(Unit(source.n, at, text, score + 0.4 * before))  # it may continue the unit before it
            before = score
    if not units:
        return []
    best = max(units, key=lambda unit: unit.score * (1 + 0.6 * _opening(unit, weigh) / total))
    left, chosen = [unit for unit in units if unit.score >= 0.3 * best.score], list[Unit]()
    while left and (length := sum(len(unit.text) for unit in chosen)) < SHORTEST:
        said = frozenset().union(*(_stem_set(unit.text) for unit in chosen))
        news = {unit: weigh(_stem_set(unit.text) - said) if chosen else 0 for unit in left}
        left.remove(unit := max(left, key=lambda unit: unit.score * (1.5 if unit.n == best.n else 1) + news[unit]))
        chosen += [unit] if length + len(unit.text) <= LONGEST else []
    return sorted(chosen, key=lambda unit: (unit != best, unit.n != chosen[0].n, unit.n, unit.at))


def _opening(unit: Unit, weigh: Callable[[frozenset[str]], float]) -> float:
    """The weight of a sentence's first words: a definition begins with those of the question, "A CTE is ..."."""
    return weigh(_stem_set(" ".join(unit.text.split()[:4]))) if kind_of(unit.text) == "sentence" else 0.0


def _render(units: list[Unit]) -> str:
    """Join units: the first alone, then runs of sentences and of items, other kinds as separate blocks."""
    rows = groupby(units, key=lambda unit: (unit == units[0], kind_of(unit.text)))
    between = {"sentence": " ", "item": "\n"}
    return "\n\n".join(between.get(kind, "\n\n").join(map(_cited, row)) for (_, kind), row in rows)


def _cited(unit: Unit) -> str:
    """The unit with its citation at the end of each line, or below the code."""
    if kind_of(unit.text) == "code":
        return f"{unit.text}\n\nThis example is from the lesson [{unit.n}]."
    return re.sub(r"(?<![.!?:\n])([.!?:]*)$", rf" [{unit.n}]\1", unit.text, flags=re.MULTILINE)


@lru_cache(maxsize=8192)
def _stem_set(text: str) -> frozenset[str]:
    return frozenset(stems(text))
