"""From a tutor's message to an answer and drafts. Plain asyncio, no database: inputs are passed in."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from conversations.pipeline import Answer, Output, QuestionInContext, understand, within_budget
from courses.citations import check
from courses.grounding import PromptPassage
from llm.client import Llm
from tutors import prompts
from tutors.content import Content, Quiz, QuizQuestion, Reply, verified
from tutors.digest import Insights

Intent = Literal["answer", "reply", "quiz", "struggles"]

QUIZ_QUESTIONS = "as many questions as the tutor asks for, at most 8; 4 if the tutor does not say"
ONE_QUESTION = "exactly one question"
NOT_PUBLISHED = "They are saved as drafts, with options and source passages. Nothing is published automatically."
QUIZ_TOKENS = 3000
QUIZ_TRIES = 2
MAX_QUIZ_QUESTIONS = 8


class LessonTitle(BaseModel):
    """A lesson by its id and title."""

    lesson_id: int
    title: str


class Task(BaseModel):
    """A tutor's message with its course and intent; without an intent the model decides it.

    `lesson` is the subject of a quiz; `asked` is the learner's question that a reply is for, without names.
    """

    question: QuestionInContext
    course: str
    lessons: list[LessonTitle]
    intent: Intent | None = None
    lesson: LessonTitle | None = None
    asked: QuestionInContext | None = None


class Outcome(Answer):
    """An answer to the tutor, and the drafts written for it."""

    drafts: list[Content] = []


class Decision(BaseModel):
    """The model's response with the tutor's intent; `lesson` is a number in the prompt, 0 for none."""

    model_config = ConfigDict(extra="forbid")

    intent: Intent
    lesson: int


class Sources(Protocol):
    """Gives the pipeline access to a course's passages and insights."""

    def search(self, words: str, vector: list[float]) -> Awaitable[list[PromptPassage]]: ...

    def lesson(self, lesson_id: int) -> Awaitable[list[PromptPassage]]: ...

    def insights(self) -> Awaitable[Insights]: ...


async def help_tutor(task: Task, llm: Llm, sources: Sources, output: Output) -> Outcome:
    """Carry out the tutor's request, and stream the text to the output. Raises LlmError."""
    if task.intent is None:
        task = await _decided(task, llm)
    match task.intent:
        case "quiz":
            return await _quiz(task, llm, sources, output)
        case "reply":
            return await _reply(task, llm, sources, output)
        case "struggles":
            return await _struggles(task, llm, sources, output)
    return await _answer(task, llm, sources, output)


async def another_reply(course: str, reply: Reply, instruction: str, llm: Llm, sources: Sources) -> Reply:
    """Write another draft of a reply. Raises LlmError."""
    [vector] = await llm.embed("embedding", [reply.asked])
    passages = await sources.search(reply.asked, vector)
    messages = prompts.reply(course, passages, QuestionInContext(text=reply.asked), instruction, before=reply.text)
    text, citations = check("".join([piece async for piece in llm.stream("reply", messages)]), passages)
    return Reply(asked=reply.asked, text=text, citations=citations)


async def another_question(
    course: str, taken: Sequence[QuizQuestion], passages: list[PromptPassage], instruction: str, llm: Llm
) -> QuizQuestion | None:
    """Write a quiz question other than `taken`; None if the model proposes no valid one. Raises LlmError."""
    questions = await _propose(course, passages, llm, count=ONE_QUESTION, instruction=instruction, taken=taken)
    return questions[0] if questions else None


async def _decided(task: Task, llm: Llm) -> Task:
    messages = prompts.decide(task.course, [lesson.title for lesson in task.lessons], task.question.text)
    decision = await llm.parse("intent", messages, Decision, max_tokens=60)
    is_named = 1 <= decision.lesson <= len(task.lessons)
    lesson = task.lesson or (task.lessons[decision.lesson - 1] if is_named else None)
    return task.model_copy(update={"intent": decision.intent, "lesson": lesson})


async def _answer(task: Task, llm: Llm, sources: Sources, output: Output) -> Outcome:
    question = _within_budget(task.question)
    standalone, vector = await understand(question, question.turns, llm, output)
    output.progress("searching")
    passages, insights = await sources.search(standalone, vector), await sources.insights()
    messages = prompts.answer(task.course, passages, insights, question)
    text, citations = check(await _streamed("answer", messages, llm, output), passages)
    return Outcome(answer=text, citations=citations)


async def _reply(task: Task, llm: Llm, sources: Sources, output: Output) -> Outcome:
    asked = _within_budget(task.asked or task.question)
    standalone, vector = await understand(asked, asked.turns, llm, output)
    output.progress("searching")
    passages = await sources.search(standalone, vector)
    messages = prompts.reply(task.course, passages, asked, instruction=task.question.text if task.asked else "")
    text, citations = check(await _streamed("reply", messages, llm, output), passages)
    drafts: list[Content] = [Reply(asked=asked.text, text=text, citations=citations)] if text.strip() else []
    return Outcome(answer=text, citations=citations, drafts=drafts)


async def _struggles(task: Task, llm: Llm, sources: Sources, output: Output) -> Outcome:
    output.progress("searching")
    insights = await sources.insights()
    messages = prompts.struggles(task.course, insights, _within_budget(task.question))
    return Outcome(answer=await _streamed("struggles", messages, llm, output))


async def _quiz(task: Task, llm: Llm, sources: Sources, output: Output) -> Outcome:
    passages = await _quiz_passages(task, llm, sources, output)
    output.progress("answering")
    instruction = task.question.text
    questions = await _propose(task.course, passages, llm, count=QUIZ_QUESTIONS, instruction=instruction, taken=[])
    text = _quiz_answer(questions, task.lesson)
    output.show(text)
    return Outcome(answer=text, drafts=list(questions))


async def _quiz_passages(task: Task, llm: Llm, sources: Sources, output: Output) -> list[PromptPassage]:
    """Return the passages for a quiz: those of the lesson, or those that match the tutor's message."""
    if task.lesson:
        output.progress("searching")
        return await sources.lesson(task.lesson.lesson_id)
    question = _within_budget(task.question)
    standalone, vector = await understand(question, question.turns, llm, output)
    output.progress("searching")
    return await sources.search(standalone, vector)


async def _propose(
    course: str, passages: list[PromptPassage], llm: Llm, *, count: str, instruction: str, taken: Sequence[QuizQuestion]
) -> list[QuizQuestion]:
    """Return the valid questions that the model proposes. Without any, it is asked up to QUIZ_TRIES times."""
    if not passages:
        return []
    messages = prompts.quiz(course, passages, count=count, instruction=instruction, taken=taken)
    for _ in range(QUIZ_TRIES):
        quiz = await llm.parse("quiz", messages, Quiz, max_tokens=QUIZ_TOKENS)
        checked = (verified(proposal, passages) for proposal in quiz.questions)
        known = {one.question for one in taken}
        if valid := [question for question in checked if question and question.question not in known]:
            return valid[:MAX_QUIZ_QUESTIONS]
    return []


def _quiz_answer(questions: Sequence[QuizQuestion], lesson: LessonTitle | None) -> str:
    about = f" on *{lesson.title}*" if lesson else ""
    if not questions:
        return f"I could not write quiz questions{about} that rest on a passage of the course."
    several = "s" if len(questions) > 1 else ""
    listed = "\n".join(f"{n}. {question.question}" for n, question in enumerate(questions, start=1))
    return f"I have drafted {len(questions)} quiz question{several}{about}:\n\n{listed}\n\n{NOT_PUBLISHED}"


def _within_budget(question: QuestionInContext) -> QuestionInContext:
    return question.model_copy(update={"turns": within_budget(question.turns)})


async def _streamed(purpose: str, messages: list[dict[str, str]], llm: Llm, output: Output) -> str:
    output.progress("answering")
    pieces = []
    async for piece in llm.stream(purpose, messages):
        pieces.append(piece)
        output.show(piece)
    return "".join(pieces)
