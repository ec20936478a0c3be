"""What ties the parts together: settings, URLs, ASGI and the API's common rules."""
