"""Answers of the real pipeline to the questions: what they cite and what they refuse."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.simulator.text import stems
from tests.lab.eval.questions import Question
from tests.lab.stats import mean

if TYPE_CHECKING:
    from llm.client import Llm

AT_ONCE = 8
_SAYS = "cover|answer|mention|say|explain|discuss|contain|include|describe|provide"
# The prompt asks for "not in the course material"; models vary the wording.
_REFUSAL = re.compile(
    r"(?:\bnot\b|n't\b|\bnothing\b)[^.!?\n]{0,40}\b(?:in|by|of)\b[^.!?\n]{0,20}\b(?:course|lessons|passages)\b"
    rf"|\b(?:course|lessons|passages)\b[^.!?\n]{{0,30}}(?:\bnot\b|n't\b) (?:{_SAYS})",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"\[(\d{1,3})\](?!\()")
_STATEMENT = re.compile(r"[^\n.!?]+(?:[.!?]|\n|$)")
SUPPORT = 0.5  # a passage supports a statement if it contains this share of its words


@dataclass(frozen=True)
class Shown:
    """A passage of the prompt; whether it is of the section that answers, and whether of the right course."""

    lesson_id: str
    heading: str
    text: str
    answers: bool
    is_of_course: bool


@dataclass
class Outcome:
    """One question, the passages of its prompt, the model's own text (`raw`) and the answer made of it."""

    question: Question
    shown: list[Shown] = field(default_factory=list)
    raw: str = ""
    answer: str = ""
    cited: list[tuple[int, str, str]] = field(default_factory=list)  # (n, lesson id, heading)

    @property
    def refused(self) -> bool:
        """Whether the answer says that the course does not cover the question."""
        return bool(_REFUSAL.search(self.answer.split("\n\n", 1)[0]))

    @property
    def invented(self) -> int:
        """The number of citations in the model's text that name no passage of the prompt; learners never see them."""
        return sum(not 1 <= int(n) <= len(self.shown) for n in _NUMBERS.findall(self.raw))

    @property
    def invalid(self) -> int:
        """The number of shown citations that name no passage of the prompt, or one of another course."""
        return sum(not self._is_valid(*citation) for citation in self.cited)

    @property
    def cites_the_answer(self) -> bool:
        """Whether a passage of the section that answers is cited."""
        return any(self.shown[n - 1].answers for n, _, _ in self.cited if 1 <= n <= len(self.shown))

    def supports(self) -> list[bool]:
        """For each statement with citations, whether the cited passages contain its words."""
        found = []
        for statement in _STATEMENT.findall(self.answer):
            words = set(stems(_NUMBERS.sub("", statement)))
            numbers = [int(n) for n in _NUMBERS.findall(statement) if 1 <= int(n) <= len(self.shown)]
            if words and numbers:
                there = set(stems(" ".join(f"{self.shown[n - 1].heading} {self.shown[n - 1].text}" for n in numbers)))
                found.append(len(words & there) >= SUPPORT * len(words))
        return found

    def _is_valid(self, n: int, lesson_id: str, heading: str) -> bool:
        if not 1 <= n <= len(self.shown):
            return False
        passage = self.shown[n - 1]
        return passage.is_of_course and (passage.lesson_id, passage.heading) == (lesson_id, heading)


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The figures of a run by name: shares in per cent, citations as counts."""
    answerable = [outcome for outcome in outcomes if outcome.question.is_answerable]
    unanswerable = [outcome for outcome in outcomes if not outcome.question.is_answerable]
    answered = [outcome for outcome in answerable if not outcome.refused]
    statements = [is_supported for outcome in outcomes for is_supported in outcome.supports()]
    return {
        "invalid_citations": sum(outcome.invalid for outcome in outcomes),
        "invented_citations": sum(outcome.invented for outcome in outcomes),
        "supported_statements": _share(statements),
        "answers_without_citation": _share([not outcome.cited for outcome in answered]),
        "answers_citing_the_section": _share([outcome.cites_the_answer for outcome in answered]),
        "refused_unanswerable": _share([outcome.refused for outcome in unanswerable]),
        "refused_answerable": _share([outcome.refused for outcome in answerable]),
        "refused_plain": _share([outcome.refused for outcome in answerable if outcome.question.kind == "plain"]),
    }


def _share(of: Sequence[bool]) -> float:
    return 100 * mean(of) if of else 0.0


async def ask_all(questions: Sequence[Question], llm: Llm) -> list[Outcome]:
    """Answer all questions with the pipeline, AT_ONCE concurrently. Raises LlmError."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(question: Question) -> Outcome:
        async with free:
            return await _ask(question, llm)

    return list(await asyncio.gather(*map(one, questions)))


async def _ask(question: Question, llm: Llm) -> Outcome:
    from asgiref.sync import sync_to_async

    from assistant import pipeline
    from assistant.prompts import Setting
    from conversations.pipeline import QuestionInContext
    from courses import search
    from courses.grounding import PromptPassage, found
    from courses.models import Course, Lesson

    course = await Course.objects.aget(slug=question.course)
    slugs = {pk: slug async for pk, slug in Lesson.objects.filter(course=course).values_list("pk", "slug")}
    outcome = Outcome(question)

    class Output:
        def progress(self, step: str) -> None: ...

        def show(self, text: str) -> None:
            outcome.raw += text

    async def find(words: str, vector: list[float]) -> list[PromptPassage]:
        hits = await sync_to_async(search.hybrid)(course.pk, words, vector)
        for hit in hits:
            slug = slugs.get(hit.lesson_id, "")
            answers = question.is_answered_by(slug, hit.heading)
            outcome.shown.append(Shown(str(hit.lesson_id), hit.heading, hit.text, answers, bool(slug)))
        return found(hits)

    asked = QuestionInContext(text=question.text)
    answer = await pipeline.answer(asked, Setting(course=course.title), llm, find, Output())
    outcome.answer = answer.answer
    outcome.cited = [(citation.n, citation.lessonId, citation.heading) for citation in answer.citations]
    return outcome
