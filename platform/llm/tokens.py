"""Token estimates for budgets before a call. After it, the reported usage counts."""

CHARS_PER_TOKEN = 4  # OpenAI's rule of thumb for English


def estimate(text: str) -> int:
    """About how many tokens a text takes; never less than one for a text that is not empty."""
    return -(-len(text) // CHARS_PER_TOKEN)
