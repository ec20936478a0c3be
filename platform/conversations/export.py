"""Exports a conversation as a Markdown file."""

from __future__ import annotations

from datetime import datetime

from django.utils.text import slugify

from conversations.models import Conversation, Message

AI_MARK = "*AI-generated: check important facts.*"


def file_name(conversation: Conversation) -> str:
    """Return an ASCII file name made from the title."""
    return f"{slugify(conversation.title)[:60] or 'conversation'}.md"


def as_markdown(conversation: Conversation) -> str:
    """Return all messages in order with author and time; answers also have their citations and the AI mark."""
    about = [f"Course: {_line(conversation.course.title)}"] if conversation.course else []
    head = [f"# {_line(conversation.title)}", *about, f"Started {_when(conversation.created_at)}"]
    return "\n\n".join([*head, *map(_message, conversation.messages.all())]) + "\n"


def _message(message: Message) -> str:
    when = _when(message.created_at)
    if message.role == Message.Role.USER:
        quoted = "\n".join(f"> {line}".rstrip() for line in message.text.splitlines())
        return f"## You, {when}\n\n{quoted}"
    parts = [f"## Assistant, {when}", message.text, _sources(message), AI_MARK]
    return "\n\n".join(part for part in parts if part)


def _sources(message: Message) -> str:
    return "\n".join(
        f"- [{citation['n']}] {_line(' > '.join(filter(None, (citation['title'], citation['heading']))))}"
        for citation in message.citations
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
