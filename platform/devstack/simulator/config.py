"""The start configuration, and the settings that can be changed at run time."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass
class Settings:
    """Latencies (seconds), limits and modes; the control API changes them at run time."""

    first_token: float = 0.35
    token_interval: float = 0.02
    rewrite_latency: float = 0.4
    embedding_latency: float = 0.08
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    answer_tokens: int | None = None
    down: bool = False

    def updated(self, changes: dict[str, Any]) -> "Settings":
        """Return a copy with the changes applied; ValueError names the first invalid one."""
        if not isinstance(changes, dict):
            raise ValueError("settings must be an object")
        known = {item.name: item.type for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown setting {name!r}; known: {', '.join(known)}")
            if not _acceptable(known[name], value):
                raise ValueError(f"setting {name!r} does not accept {value!r}")
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        """The settings as the control API shows them."""
        return asdict(self)


@dataclass(frozen=True)
class Config:
    """The start state, which `POST /control/reset` restores."""

    api_key: str = "sk-simulator"
    settings: Settings = field(default_factory=Settings)
    faults: tuple[dict[str, Any], ...] = ()


def _acceptable(kind: object, value: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, int | float) and 0 <= value < float("inf")
    return value is None or (isinstance(value, int) and value >= 1)
