from django import template
from django.template import Context
from django.utils.safestring import SafeString

from config import slots

register = template.Library()


@register.simple_tag(takes_context=True)
def slot(context: Context, name: str) -> SafeString:
    """What other apps have registered for this place (config/slots.py)."""
    return slots.render(name, context)
