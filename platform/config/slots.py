"""Places in pages that other apps fill, so that a template names no app above its own.

A template offers a slot with `{% load slots %}{% slot "lesson-tools" %}`; the apps above register what belongs there.
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
    """Render this template in the slot, after those that are registered already; called from AppConfig.ready().

    The template sees the page's context and what `context` returns for it. Registering it again changes nothing.
    """
    _templates.setdefault(slot, {}).setdefault(template, context)


def render(slot: str, page: Context) -> SafeString:
    """What the slot holds on this page, in the order of INSTALLED_APPS."""
    assert page.template is not None
    find, rendered = page.template.engine.get_template, []
    for name, context in _templates.get(slot, {}).items():
        with page.push(**(context(page) if context else {})):
            rendered.append((find(name).render(page),))
    return format_html_join("", "{}", rendered)
