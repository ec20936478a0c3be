"""The configuration of the gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LlmConfig:
    """The upstream's address and key, the model for each purpose, and time-outs in seconds."""

    api_key: str
    base_url: str
    chat_model: str
    fast_model: str
    embedding_model: str
    embedding_dimensions: int = 1536
    connect_timeout: float = 5.0
    first_token_timeout: float = 45.0
    token_gap_timeout: float = 15.0
    max_connections: int = 1000
