"""Settings, URLs, the ASGI application, and what all of the API shares: errors, pagination, parsing, schema."""
