"""Reading a prompt: its texts, the question in it, and the turns that came before."""

import html
import re
from dataclasses import dataclass
from typing import Any

from .passages import without_passages

_QUESTION = re.compile(r"<question>(.*?)</question>", re.DOTALL)
# The form that followups.rewrite_question gives a follow-up.
_REWRITTEN = re.compile(r"(.*) \(about: ([^()]*)\)", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SPEAKER = re.compile(r"^[ \t]*(learner|user|tutor|visitor|assistant):[ \t]*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Turn:
    """Something said earlier; `asked` tells a person's words from the assistant's."""

    asked: bool
    text: str


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def system_text(messages: list[dict[str, Any]]) -> str:
    """What the system and developer messages say."""
    return "\n".join(text_of(message) for message in messages if message["role"] in ("system", "developer"))


def question_of(messages: list[dict[str, Any]]) -> str:
    """What is asked: inside <question> if it is marked so, otherwise the last user message."""
    last = _last_user_text(messages)
    if marked := _QUESTION.findall(last):
        return html.unescape(marked[-1]).strip()
    last = without_passages(last).strip()
    if _SPEAKER.search(last):
        last = re.sub(r"^[\w -]{1,30}:\s*", "", last.splitlines()[-1])
    return last


def turns_of(messages: list[dict[str, Any]]) -> list[Turn]:
    """What was said before the question: in messages of its own, or as "learner: ..." lines inside one."""
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else len(messages)
    turns: list[Turn] = []
    for message in messages[:last]:
        if message["role"] in ("user", "assistant"):
            turns += _split_turns(text_of(message), asked=message["role"] == "user")
    around = _QUESTION.sub("", _last_user_text(messages))
    if _SPEAKER.search(around) or (not turns and around != _last_user_text(messages)):
        turns += _split_turns(around, asked=False)
    return turns


def question_and_context(messages: list[dict[str, Any]]) -> tuple[str, str]:
    """The question, and what it is about besides: the topics of a rewritten one, or what was asked before."""
    question = question_of(messages)
    if rewritten := _REWRITTEN.fullmatch(question):
        return rewritten[1], rewritten[2]
    earlier = [turn.text for turn in turns_of(messages) if turn.asked]
    return question, " ".join(earlier[-2:])


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def _split_turns(text: str, asked: bool) -> list[Turn]:
    text = html.unescape(_TAG.sub("\n", without_passages(text)))
    _, *rest = _SPEAKER.split(text)
    if not rest:
        return [Turn(asked, text.strip())] if text.strip() else []
    # What stands before the first speaker is the prompt's own wording.
    said = zip(rest[::2], rest[1::2], strict=True)
    return [Turn(speaker.lower() != "assistant", words.strip()) for speaker, words in said]
