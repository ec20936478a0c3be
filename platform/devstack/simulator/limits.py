"""Limits on requests and tokens per minute and model: token buckets that refill within 60 seconds."""

import time

from .config import Settings
from .errors import ApiError, rate_limited

WINDOW = 60.0
# The headers show these while no limit is set.
NOMINAL_REQUESTS = 30_000
NOMINAL_TOKENS = 150_000_000


class Bucket:
    """A token bucket that starts full and refills evenly; without a limit it only counts."""

    def __init__(self, limit: int | None, nominal: int) -> None:
        self.enforced = limit is not None
        self.capacity = limit or nominal
        self._level = float(self.capacity)
        self._at = time.monotonic()

    def level(self) -> float:
        """The current level."""
        now = time.monotonic()
        self._level = min(self.capacity, self._level + (now - self._at) * self.capacity / WINDOW)
        self._at = now
        return self._level

    def wait_for(self, amount: int) -> float:
        """Seconds until the amount is available; infinite if it exceeds the capacity, 0 if no limit is enforced."""
        if not self.enforced:
            return 0.0
        if amount > self.capacity:
            return float("inf")
        return max(0.0, (amount - self.level()) * WINDOW / self.capacity)

    def take(self, amount: int) -> None:
        """Subtract the amount."""
        self._level = max(0.0, self.level() - amount)

    def headers(self, name: str) -> dict[str, str]:
        """The three x-ratelimit headers of this bucket."""
        level = self.level()
        return {
            f"x-ratelimit-limit-{name}": str(self.capacity),
            f"x-ratelimit-remaining-{name}": str(int(level)),
            f"x-ratelimit-reset-{name}": duration((self.capacity - level) * WINDOW / self.capacity),
        }


class Limits:
    """The buckets of every model used since the limits were last set."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buckets: dict[str, tuple[Bucket, Bucket]] = {}

    def admit(self, model: str, tokens: int) -> None:
        """Take one request and the tokens, or raise the 429; a refused request takes nothing."""
        requests_bucket, tokens_bucket = self._of(model)
        _check(requests_bucket, 1, model, "requests", "requests per min (RPM)")
        _check(tokens_bucket, tokens, model, "tokens", "tokens per min (TPM)")
        requests_bucket.take(1)
        tokens_bucket.take(tokens)

    def headers(self, model: str) -> dict[str, str]:
        """All six x-ratelimit headers for this model."""
        requests_bucket, tokens_bucket = self._of(model)
        return requests_bucket.headers("requests") | tokens_bucket.headers("tokens")

    def _of(self, model: str) -> tuple[Bucket, Bucket]:
        if model not in self._buckets:
            self._buckets[model] = (
                Bucket(self._settings.requests_per_minute, NOMINAL_REQUESTS),
                Bucket(self._settings.tokens_per_minute, NOMINAL_TOKENS),
            )
        return self._buckets[model]


def duration(seconds: float) -> str:
    """A time span the way OpenAI's reset headers write it: 6ms, 1.2s, 1m12s."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.3f}".rstrip("0").rstrip(".") + "s"


def _check(bucket: Bucket, amount: int, model: str, kind: str, label: str) -> None:
    wait = bucket.wait_for(amount)
    if wait == float("inf"):
        raise _too_large(bucket, amount, model, kind, label)
    if wait > 0:
        used = bucket.capacity - int(bucket.level())
        message = (
            f"Rate limit reached for {model} in organization org-simulator on {label}: Limit "
            f"{bucket.capacity}, Used {used}, Requested {amount}. Please try again in {duration(wait)}."
        )
        raise rate_limited(message, kind, wait)


def _too_large(bucket: Bucket, amount: int, model: str, kind: str, label: str) -> ApiError:
    message = (
        f"Request too large for {model} in organization org-simulator on {label}: Limit {bucket.capacity}, "
        f"Requested {amount}. The input or output tokens must be reduced in order to run successfully."
    )
    return rate_limited(message, kind, None)
