"""A grounded answer out of the passages: the units that fit the question best, each with its citation."""

import math
from dataclasses import dataclass

from .passages import Passage, Unit
from .text import correct, english_list, stem, stems

REFUSAL = "This is not in the course material."
SHORTEST, LONGEST, MOST_UNITS = 300, 640, 5
# Of a very long question the first words decide: looking for misspellings costs time.
MOST_WORDS = 100
# A passage fits when it has at least this share of the question's words, and all passages together have
# that one. Measured on questions about the demo courses: plain ones pass, most unanswerable ones do not.
PASSAGE_SHARE, KNOWN_SHARE = 0.5, 0.6
# A sentence that begins like this leans on the one before it.
_LEANING = ("this", "it", "its", "these", "that", "those", "they", "such", "however", "but", "and", "so")


@dataclass(frozen=True)
class Candidate:
    """A unit with where it stands and how well it fits."""

    n: int
    index: int
    unit: Unit
    score: float


class Question:
    """The content words of a question, weighed against a set of passages.

    `context` is what the conversation was about: it helps to choose, and decides where the question has no
    words of its own ("Why is that?").
    """

    def __init__(self, text: str, passages: list[Passage], context: str = "") -> None:
        vocabularies = [passage.words() for passage in passages]
        self._known: frozenset[str] = frozenset().union(*vocabularies)
        asked = list(dict.fromkeys(stems(text)))[:MOST_WORDS]
        own = {word for word in (correct(word, self._known) for word in asked) if word}
        around = {word for word in stems(context) if word in self._known} - own
        self._asked = own or around
        self._vague = not own
        self.words = own | around
        self.weights = {word: _weight(word, vocabularies) / (1 if word in own else 2) for word in self.words}
        self.subject = text.lower().lstrip().startswith(("what", "who", "define"))

    def weight_of(self, words: frozenset[str]) -> float:
        """How much of the question these words cover."""
        return sum(self.weights[word] for word in self.words & words)

    def fits(self, passage: Passage) -> bool:
        """Whether the passage is about the question rather than merely sharing a word with it."""
        shared = len(self._asked & passage.words())
        if self._vague or not shared:
            return bool(shared)
        known = len(self._asked & self._known)
        return shared >= PASSAGE_SHARE * len(self._asked) and known >= KNOWN_SHARE * len(self._asked)


def compose_answer(question: str, passages: list[Passage], context: str = "") -> str:
    """A short Markdown answer with citations, or the refusal where no passage fits; always the same one."""
    asked = Question(question, passages, context)
    fitting = [passage for passage in passages if asked.fits(passage)]
    candidates = [candidate for passage in fitting for candidate in _candidates(asked, passage)]
    if not any(candidate.score for candidate in candidates):
        return refuse(passages)
    return _render(_choose(asked, candidates))


def refuse(passages: list[Passage]) -> str:
    """The honest answer where nothing fits, with what the course does cover."""
    lessons = list(dict.fromkeys(passage.lesson for passage in passages if passage.lesson))[:4]
    if not lessons:
        return f"{REFUSAL} Try a question about a topic of its lessons."
    return f"{REFUSAL} What it does cover: {english_list([f'*{lesson}*' for lesson in lessons])}."


def _candidates(asked: Question, passage: Passage) -> list[Candidate]:
    titled = asked.weight_of(passage.title_words())
    covered = asked.weight_of(passage.words()) / sum(asked.weights.values())
    worth = covered * (1 + 0.2 / passage.n)  # the first passages were found best
    return [
        Candidate(passage.n, index, unit, worth * _score(asked, unit, titled))
        for index, unit in enumerate(passage.units())
    ]


def _score(asked: Question, unit: Unit, titled: float) -> float:
    words = unit.words()
    covered = asked.weight_of(words)
    score = covered + 0.3 * titled if covered else 0.1 * titled
    if asked.subject and _defines(unit.text, asked.words):
        score *= 1.5
    if unit.text.endswith(":") and not unit.items:
        score *= 0.4
    return score / (1 + len(unit.text) / 800)


def _defines(text: str, words: set[str]) -> bool:
    """Whether a sentence begins as the answer to "What is ...?" does: "Ownership is ..."."""
    start = text.lower().split()[:5]
    verbs = [at for at, word in enumerate(start) if word in ("is", "are", "means")]
    return bool(verbs) and bool(words & {stem(word.strip("*_`")) for word in start[: verbs[0]]})


def _choose(asked: Question, candidates: list[Candidate]) -> list[Candidate]:
    """The opener first, then what adds most, until the answer is long enough."""
    opener = max(candidates, key=lambda candidate: _opener_score(asked, candidate))
    chosen, left = [opener], [candidate for candidate in candidates if candidate != opener]
    while left and len(chosen) < MOST_UNITS and _length(chosen) < SHORTEST:
        best = max(left, key=lambda candidate: _gain(asked, candidate, chosen))
        if _gain(asked, best, chosen) < 0.3 * opener.score and len(chosen) >= 2:
            break
        left.remove(best)
        if best.score and _length([*chosen, best]) <= LONGEST:
            chosen.append(best)
    return [opener, *sorted(chosen[1:], key=lambda other: (other.n != opener.n, other.n, other.index))]


def _opener_score(asked: Question, candidate: Candidate) -> float:
    unit = candidate.unit
    if unit.kind in ("code", "item") or not asked.words & Unit(unit.kind, unit.text).words():
        return 0.3 * candidate.score
    leans = unit.text.split(maxsplit=1)[0].lower().strip(",*_`") in _LEANING
    return candidate.score * (0.6 if leans else 1.0)


def _gain(asked: Question, candidate: Candidate, chosen: list[Candidate]) -> float:
    said = frozenset().union(*(other.unit.words() for other in chosen))
    new = asked.weight_of(candidate.unit.words() - said)
    follows = any(other.n == candidate.n and other.index + 1 == candidate.index for other in chosen)
    return 0.6 * candidate.score + 0.4 * new + (0.6 if follows else 0.0)


def _length(chosen: list[Candidate]) -> int:
    return sum(len(candidate.unit.text) + sum(map(len, candidate.unit.items)) for candidate in chosen)


def _render(chosen: list[Candidate]) -> str:
    opener, *rest = chosen
    parts = [_prose(opener)]
    sentences = [candidate for candidate in rest if candidate.unit.kind == "sentence"]
    if sentences and (len(sentences) < 3 or any(candidate.unit.items for candidate in chosen)):
        parts.append(" ".join(_prose(candidate) for candidate in sentences))
        sentences = []
    bullets = [c for c in rest if c in sentences or c.unit.kind == "item"]
    if bullets:
        parts.append("\n".join(f"- {_prose(candidate)}" for candidate in bullets))
    parts += [_prose(candidate) for candidate in rest if candidate.unit.kind in ("list", "code")]
    return "\n\n".join(parts)


def _prose(candidate: Candidate) -> str:
    unit, n = candidate.unit, candidate.n
    if unit.kind == "code":
        return f"{unit.text}\n\nThis example is from the lesson [{n}]."
    if unit.kind == "list":
        return f"{unit.text}\n\n" + "\n".join(f"- {_cite(item, n)}" for item in unit.items)
    return _cite(unit.text, n)


def _cite(text: str, n: int) -> str:
    if text.endswith((".", "!", "?", ":")):
        return f"{text[:-1]} [{n}]{'.' if text[-1] == ':' else text[-1]}"
    return f"{text} [{n}]"


def _weight(word: str, vocabularies: list[frozenset[str]]) -> float:
    having = sum(word in vocabulary for vocabulary in vocabularies)
    # A word in every passage tells little, a rare one much; capped, so that one word never decides alone.
    return min(1.5, 1 + math.log((1 + len(vocabularies)) / (1 + having))) if having else 0.0
