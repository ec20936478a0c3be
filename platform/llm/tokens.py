"""Estimates of tokens before a call; after it, the reported usage counts."""

CHARS_PER_TOKEN = 4  # OpenAI's rule of thumb for English


def estimate(text: str) -> int:
    """Estimate the tokens of a text; at least one unless the text is empty."""
    return -(-len(text) // CHARS_PER_TOKEN)
