"""What is answered besides JSON."""

from __future__ import annotations

from rest_framework.renderers import JSONRenderer


class WrittenByView(JSONRenderer):
    """Lets clients that accept only this type through DRF's negotiation: the view writes the body, errors stay JSON."""

    media_type = ""  # a subclass says which, and its format
    format = ""
    charset = "utf-8"
