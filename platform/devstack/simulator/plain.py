"""Composes answers without sources: a rewritten follow-up, a summary, a short general reply."""

from collections import defaultdict
from collections.abc import Sequence

from .prompt import Prompt, Turn
from .text import content_words, english_list, stem, stems


def compose(prompt: Prompt) -> str:
    """The answer to a prompt without data except a conversation."""
    if prompt.purpose == "rewrite":
        topics = key_words(prompt.turns, exclude=prompt.question)
        return f"{prompt.question} (about: {', '.join(topics)})" if topics else prompt.question
    if prompt.purpose == "summary":
        topics = key_words(prompt.turns) or ["the course"]
        asked = [" ".join(turn.text.split())[:160] for turn in prompt.turns if turn.asked]
        last = f" The last question was: “{asked[-1]}”" if asked else ""
        return f"The conversation is about {english_list(topics)}.{last}"
    words = list(dict.fromkeys(content_words(prompt.question)))[:4] or ["your question"]
    return (
        f"Here is a short answer about {english_list(words)}. Start with the basics, try a small example of your own, "
        f"and compare what you see with what you expected. If you tell me more about what you want to reach with "
        f"{words[0]}, I can be more specific."
    )


def key_words(turns: Sequence[Turn], exclude: str = "") -> list[str]:
    """The four key words of the turns; a person's words and recent ones weigh more."""
    weights: defaultdict[str, float] = defaultdict(float)
    surface: dict[str, str] = {}
    for age, turn in enumerate(reversed(turns)):
        for word in (word for word in content_words(turn.text) if len(word) > 1 and not word.isdigit()):
            weights[surface.setdefault(stem(word.lower()), word)] += (6 if turn.asked else 2) / (1 + age / 4)
    unwanted = set(stems(exclude))
    fresh = [word for word in weights if stem(word.lower()) not in unwanted]
    return sorted(fresh, key=lambda word: (-weights[word], word))[:4]
