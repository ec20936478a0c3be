"""Words, stems and pieces: text functions shared by answers and embeddings."""

import difflib
import re
from functools import lru_cache

_WORD = re.compile(r"\w[\w'+#]*")
_CURLY = str.maketrans({"\u2019": "'"})
_PIECE = re.compile(r"\s*\w{1,5}|\s*[^\w\s]{1,3}|\s+")
_VOWEL = re.compile("[aeiouy]")

_FUNCTION_WORDS = """
    a about above actually after again all also am an and any anything are aren't as ask asked at away be
    became because been before being below between both but by bye came can can't cannot come could
    couldn't did didn't do does doesn't doing don't done down during each either elaborate else ever every
    everything example examples explain explained explains few for from further gave get gets getting give
    given gives go goes going good got had happen happens has have having he hello help her here hers hey
    hi him his how however i i'd i'll i'm i've if important in instead into is isn't it it's its itself
    just kind know learn let let's like little lot made make makes many matter matters may maybe me mean
    means meant might more most much must my need needs never no nor not nothing now of off ok okay on
    once one only or other our out over own please question quite really same say says see seem shall she
    should show simple simply since so some something still such sure take tell than thank thanks that
    that's the their them then there there's these they thing things think this those though through to
    together too under understand understanding until up upon us use used uses using very want was way
    ways we well were what what's whatever when where whether which while who who's whom whose why will
    with without won't work works would wouldn't yes yet you you're your yours
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Reduce a lower-case English word to its stem: removes plural, -ing, -ed and a final e."""
    word = _singular(word.removesuffix("'s"))
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            word = base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def stems(text: str) -> list[str]:
    """The stems of the content words of a text, in order, with repeats."""
    return [stem(word) for word in _words(text.lower()) if word not in STOP_WORDS]


def content_words(text: str) -> list[str]:
    """The content words in order; words with only an initial capital are converted to lower case."""
    found = [word for word in _words(text) if word.lower() not in STOP_WORDS]
    return [word.lower() if word[1:] == word[1:].lower() else word for word in found]


def correct(word: str, known: frozenset[str]) -> str:
    """The known stem closest to a mistyped one, "" for a mistyped stop word, otherwise the word itself."""
    if word in known or len(word) < 4:
        return word
    if _nearest(word, STOP_WORDS, cutoff=0.88):
        return ""
    return _nearest(word, known, cutoff=0.8) or word


def _nearest(word: str, words: frozenset[str], cutoff: float) -> str | None:
    """The closest word with the same first letter: two neighbouring letters swapped, or similar."""
    near = sorted(other for other in words if other[:1] == word[:1] and abs(len(other) - len(word)) <= 2)
    swapped = [other for other in near if _is_swap(word, other)]
    return next(iter(swapped or difflib.get_close_matches(word, near, n=1, cutoff=cutoff)), None)


def _is_swap(word: str, other: str) -> bool:
    apart = [at for at, (one, two) in enumerate(zip(word, other, strict=False)) if one != two]
    return sorted(word) == sorted(other) and len(apart) == 2 and apart[1] == apart[0] + 1


def pieces(text: str) -> list[str]:
    """Cut a text into pieces of about a word, which a stream sends one by one; joined they equal the text."""
    return _PIECE.findall(text)


def estimate_tokens(length: int) -> int:
    """Tokens of a text of that many characters: four to a token, rounded up."""
    return -(-length // 4)


def english_list(words: list[str]) -> str:
    """Join words as prose does: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _words(text: str) -> list[str]:
    return [word.rstrip("'") for word in _WORD.findall(text.translate(_CURLY))]


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "zes", "ches", "shes")) else word[:-1]
