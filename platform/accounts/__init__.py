"""Who is asking: sign-in, API tokens, WebSocket tickets, anonymous visitors."""
