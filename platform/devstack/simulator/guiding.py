"""How the course assistant's prompts steer: hints for tasks, the lesson being read, questions that may follow."""

import html
import re
from collections.abc import Iterable

from .conversation import Turn
from .passages import Passage, Unit
from .text import stems

_LEVEL = re.compile(r"Guidance level: (answers|hints first|hints only)")
_TASK = re.compile(
    r"\b(?:solve|do|write|finish|complete) (?:it|this|that|my|the|me)\b.*|\bfor me\b|"
    r"\b(?:my|the|this|graded) (?:homework|assignment|exercise|quiz|exam)\b|"
    r"\bgive me the (?:solution|answer|query|code)\b|\bjust the (?:solution|answer)\b",
    re.IGNORECASE | re.DOTALL,
)
_TRIED = re.compile(r"\b(?:i (?:tried|wrote|have|got|think)|my attempt|here is (?:what|my))\b|```", re.IGNORECASE)
_READING = re.compile(r'The learner is reading the lesson "([^"]*)"')
_ABOUT_LESSON = re.compile(
    r"\b(?:summar\w+|explain (?:this|the lesson)|main ideas|what is (?:this|the lesson) about)\b", re.IGNORECASE
)
_QUOTED = re.compile(r"[\u201c\"](.+)[\u201d\"]", re.DOTALL)
_TOPICS = re.compile(r"<topics>(.*?)</topics>", re.DOTALL)
_SAID = re.compile(r"<question>(.*?)</question>\s*<answer>(.*?)</answer>", re.DOTALL)
MOST_SECTIONS, MOST_QUESTIONS = 6, 3


def wants_hints(system: str, question: str, turns: Iterable[Turn]) -> bool:
    """Whether the prompt's guidance level asks for hints here rather than for a solution."""
    level = _LEVEL.search(system)
    if level is None or level[1] == "answers" or not _TASK.search(question):
        return False
    said = [question, *(turn.text for turn in turns if turn.asked)]
    return level[1] == "hints only" or not any(_TRIED.search(text) for text in said)


def hints(passages: list[Passage], answer: str) -> str:
    """Where to look and what to try, in place of the solution; `answer` tells which passages would be in it."""
    cited = sorted({int(n) for n in re.findall(r"\[(\d{1,3})\]", answer)}) or [p.n for p in passages[:2]]
    places = [passage for passage in passages if passage.n in cited][:3]
    steps = [f"{count}. Look again at *{_name(place)}* [{place.n}]." for count, place in enumerate(places, start=1)]
    steps.append(f"{len(steps) + 1}. Write down a first version, however rough, and check it on one small example.")
    return "\n\n".join(
        [
            "I will not do this one for you, but you can get there. Some hints:",
            "\n".join(steps),
            "What have you tried so far? Show me and we go on from there.",
        ]
    )


def about_lesson(system: str, question: str, passages: list[Passage]) -> str:
    """A summary of the lesson being read, or what it says about a quoted part; "" when it is not asked for."""
    reading = _READING.search(system)
    if not reading or not _ABOUT_LESSON.search(question):
        return ""
    own = [passage for passage in passages if passage.lesson == html.unescape(reading[1])]
    quoted = _QUOTED.search(question)
    if not own or (quoted and quoted[1] != own[0].lesson):
        return ""
    lines = [f"- **{_name(p)}**: {sentence} [{p.n}]" for p in own if (sentence := _first_sentence(p))]
    return "\n\n".join([f"The lesson *{own[0].lesson}* in short:", "\n".join(lines[:MOST_SECTIONS])])


def next_questions(system: str, asked: str) -> list[str] | None:
    """Questions about the prompt's topics that the answer leads to; None when the prompt asks for no such thing."""
    topics, said = _TOPICS.findall(system), _SAID.search(asked)  # the rules mention the tag too
    if not topics or not said:
        return None
    question, answer = html.unescape(said[1]), html.unescape(said[2])
    near = set(stems(answer))
    names = [line.removeprefix("- ").split(" > ")[-1] for line in html.unescape(topics[-1]).split("\n")]
    fresh = [name for name in dict.fromkeys(names) if name and not set(stems(name)) <= set(stems(question))]
    fresh.sort(key=lambda name: -len(near & set(stems(name))))
    forms = ("Tell me more about “{}”.", "Can you show me an example for “{}”?", "Why does “{}” matter?")
    return [form.format(name) for form, name in zip(forms, fresh[:MOST_QUESTIONS], strict=False)]


def _name(passage: Passage) -> str:
    return passage.heading.split(" > ")[-1] or passage.lesson


def _first_sentence(passage: Passage) -> str:
    def is_whole(unit: Unit) -> bool:
        return unit.kind == "sentence" and not unit.text.endswith(":") and len(unit.text) > 30

    return next((unit.text for unit in passage.units() if is_whole(unit)), "")
