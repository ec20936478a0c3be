"""Embeddings of hashed words and character trigrams: texts that share words are close."""

import math
import sys
from array import array
from collections import Counter
from functools import lru_cache
from hashlib import blake2b

from .text import stems

# All trigrams of a word together weigh as much as the word itself: enough to match despite a typo, too little to
# match words that only look similar.
TRIGRAM_WEIGHT = 1.0
# Long words are usually topics, short ones variable names.
SHORT_WORD_WEIGHT = 0.7


@lru_cache(maxsize=1024)
def embed(text: str, dimensions: int) -> bytes:
    """The unit vector of a text as little-endian float32; identical in every process."""
    values = [0.0] * dimensions
    for word, count in Counter(stems(text) or [text.lower()]).items():
        weight = math.sqrt(count)
        for feature, share in _features(word):
            # The lowest bit is the sign, so that collisions cancel out on average.
            values[(feature >> 1) % dimensions] += weight * share if feature & 1 else -weight * share
    norm = math.sqrt(math.fsum(value * value for value in values)) or 1.0
    packed = array("f", [value / norm for value in values])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    whole = 1.0 if len(word) > 3 else SHORT_WORD_WEIGHT
    features = [(_hash(f"w:{word}"), whole)]
    padded = f"<{word}>"
    trigrams = sorted({padded[at : at + 3] for at in range(len(padded) - 2)})
    share = TRIGRAM_WEIGHT * whole / math.sqrt(len(trigrams) or 1)
    return (*features, *((_hash(f"t:{trigram}"), share) for trigram in trigrams))


def _hash(feature: str) -> int:
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
