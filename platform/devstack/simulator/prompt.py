"""Parses the tags of a prompt. Words outside tags have no effect, so that prompts can be reworded freely."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

# Prompts escape the text of courses and people, so a tag's text ends at the next "<".
_OPENING = re.compile(r'<([a-z]+)((?: [a-z]+="[^"]*")*)>([^<]*)')
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')
_SPEAKER = re.compile(r"^(\w+): ", re.MULTILINE)  # further lines of a message are indented


@dataclass(frozen=True)
class Element:
    """A tag with its attributes and its text (of a container: the text before the first inner tag)."""

    tag: str
    attributes: dict[str, str]
    text: str

    def __getitem__(self, attribute: str) -> str:
        return self.attributes.get(attribute, "")


@dataclass(frozen=True)
class Turn:
    """An earlier message; `asked` is true for a person's words and false for the assistant's."""

    asked: bool
    text: str


class Prompt:
    """The messages of a chat request."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = messages
        # Earlier assistant messages are not escaped, so their tags do not count.
        written = [text_of(message) for message in messages if message["role"] != "assistant"]
        self._elements = [element for text in written for element in _elements(text)]
        self._last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)

    @cached_property
    def purpose(self) -> str:
        """The purpose of a prompt without a response format: answer, rewrite, summary or other."""
        if self.has("passages", "passage", "facts", "fact", "learners"):
            return "answer"
        if self.has("conversation"):
            return "rewrite" if self.has("question") else "summary"
        return "other"

    @property
    def system(self) -> str:
        """The text of the system and developer messages."""
        return "\n".join(text_of(one) for one in self._messages if one["role"] in ("system", "developer"))

    @cached_property
    def question(self) -> str:
        """The question in the last user message: the text of <question>, or the whole message."""
        return _question_in(text_of(self._messages[self._last]))

    @cached_property
    def turns(self) -> list[Turn]:
        """The earlier turns, from separate messages or from <conversation>."""
        before = [one for one in self._messages[: self._last] if one["role"] in ("user", "assistant")]
        _, *parts = _SPEAKER.split(self.text("conversation"))
        return [
            *(Turn(one["role"] == "user", _question_in(text_of(one))) for one in before),
            *(Turn(who == "user", said.strip()) for who, said in zip(parts[::2], parts[1::2], strict=True)),
        ]

    def has(self, *tags: str) -> bool:
        """Whether one of these tags occurs."""
        return any(element.tag in tags for element in self._elements)

    def text(self, tag: str) -> str:
        """The text of the last element with this tag, "" without one: rules mention tags before the data."""
        return next((element.text for element in reversed(self._elements) if element.tag == tag), "")

    def all(self, tag: str) -> list[Element]:
        """The elements with this tag that have attributes, in order."""
        return [element for element in self._elements if element.tag == tag and element.attributes]

    def attribute(self, tag: str, name: str) -> str:
        """This attribute of the first element with this tag, "" without one."""
        return next((element[name] for element in self.all(tag)), "")


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _elements(text: str) -> Iterator[Element]:
    for tag, attributes, body in _OPENING.findall(text):
        values = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(attributes)}
        yield Element(tag, values, html.unescape(body).strip())


def _question_in(text: str) -> str:
    return next((one.text for one in reversed(list(_elements(text))) if one.tag == "question"), text.strip())
