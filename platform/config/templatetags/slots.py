from django import template
from django.template import Context
from django.utils.safestring import SafeString

from config import slots

register = template.Library()


@register.simple_tag(takes_context=True)
def slot(context: Context, name: str) -> SafeString:
    """Render what apps registered for this slot (config/slots.py)."""
    return slots.render(name, context)
