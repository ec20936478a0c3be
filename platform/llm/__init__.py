"""The gateway to OpenAI. Knows nothing of Django: plain asyncio, so that it can be read and tested alone."""
