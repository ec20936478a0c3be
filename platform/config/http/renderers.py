"""Renderers for response types other than JSON."""

from __future__ import annotations

from rest_framework.renderers import JSONRenderer


class WrittenByView(JSONRenderer):
    """Makes DRF accept requests for this media type. The view writes the body itself; errors stay JSON."""

    media_type = ""  # set by subclasses, like `format`
    format = ""
    charset = "utf-8"
