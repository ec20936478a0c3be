"""Slots: places in templates that higher apps fill, so that no template depends on a higher app.

A template defines a slot with `{% load slots %}{% slot "lesson-tools" %}`; higher apps register templates for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.template import Context
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

MoreContext = Callable[[Context], dict[str, Any]]

_templates: dict[str, dict[str, MoreContext | None]] = {}


def register(slot: str, template: str, context: MoreContext | None = None) -> None:
    """Add this template to the slot, after those registered before. Call this from AppConfig.ready(). Idempotent.

    The template gets the page's context, extended by what `context` returns.
    """
    _templates.setdefault(slot, {}).setdefault(template, context)


def render(slot: str, page: Context) -> SafeString:
    """Render the templates of the slot, in the order of INSTALLED_APPS."""
    assert page.template is not None
    find, rendered = page.template.engine.get_template, []
    for name, context in _templates.get(slot, {}).items():
        with page.push(**(context(page) if context else {})):
            rendered.append((find(name).render(page),))
    return format_html_join("", "{}", rendered)
