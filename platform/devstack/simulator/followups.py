"""Replies without passages: a follow-up rewritten to stand alone, a summary, a short general reply."""

from collections import defaultdict

from .conversation import Turn
from .text import content_words, english_list, stem, stems


def rewrite_question(question: str, turns: list[Turn]) -> str:
    """The question with the topics of the conversation added, so that it can be searched for alone."""
    topics = key_words(turns, 4, exclude=question)
    return f"{question} (about: {', '.join(topics)})" if topics else question


def summarise(turns: list[Turn], question: str) -> str:
    """Two or three sentences that name what the conversation was about."""
    turns = turns or [Turn(True, question)]
    topics = key_words(turns, 4) or ["the course"]
    sentences = [f"The conversation is about {english_list(topics)}."]
    if explained := key_words([turn for turn in turns if not turn.asked], 3, exclude=" ".join(topics)):
        sentences.append(f"The assistant explained {english_list(explained)}.")
    if asked := [turn.text for turn in turns if turn.asked]:
        last = " ".join(asked[-1].split())[:160].rstrip(" .?!")
        sentences.append(f'The last question was: "{last}".')
    return " ".join(sentences)


def general_reply(question: str) -> str:
    """A short friendly reply that takes up the key words of the question."""
    topics = list(dict.fromkeys(content_words(question)))[:4]
    about = english_list(topics) or "your question"
    return (
        f"Here is a short answer about {about}. Start with the basics, try a small example of your own, and "
        f"compare what you see with what you expected. If you tell me more about what you want to reach with "
        f"{topics[0] if topics else 'it'}, I can be more specific."
    )


def key_words(turns: list[Turn], most: int, exclude: str = "") -> list[str]:
    """The words the turns are about, weightiest first: a person's words and recent ones count more."""
    weights: defaultdict[str, float] = defaultdict(float)
    surface: dict[str, str] = {}
    unwanted = set(stems(exclude))
    for age, turn in enumerate(reversed(turns)):
        for word in content_words(turn.text):
            key = stem(word.lower())
            if key in unwanted or len(word) < 2 or word.isdigit():
                continue
            surface.setdefault(key, word)
            weights[key] += (6 if turn.asked else 2) / (1 + age / 4)
    best = sorted(weights, key=lambda key: (-weights[key], key))[:most]
    return [surface[key] for key in best]
