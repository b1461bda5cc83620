"""The seam between the engine and a model server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from collab_core.domain import Attempt, Tier, Timing, ToolCall, Usage
from collab_core.transcript import Transcript

DeltaSink = Callable[[int, int, str, str], None]
"""Called as (attempt, offset, text, kind) with kind in text, reasoning, tool_call; must not block."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """One model call. ``suffix`` is sent after the transcript and is not kept in it."""

    tier: Tier
    transcript: Transcript
    suffix: tuple[Mapping[str, Any], ...] = ()
    tools_json: bytes = b""
    """The JSON array of tool schemas, encoded once per run; b"" = no tools."""
    tool_choice: str = "auto"
    temperature: float = 0.6
    top_p: float = 0.95
    max_output_tokens: int = 2_048
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    """Ask for log-probabilities (top 2), for the mean and the first-token margin."""
    structured: Mapping[str, Any] | None = None
    """vLLM ``structured_outputs`` body, e.g. ``{"regex": …}``; sent only if the tier supports it."""
    priority: int | None = None
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """A complete reply: it ended with stop, length or tool_calls, else it is an error."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    timing: Timing = field(default_factory=Timing)
    mean_logprob: float | None = None
    """Mean natural-log probability of the sampled tokens."""
    first_token_margin: float | None = None
    """p(top-1) - p(top-2) of the first generated token, 0..1."""
    decisive_margin: float | None = None
    """The same of the first token after the fixed tags; None where it is not known."""
    attempts: tuple[Attempt, ...] = ()
    """The failed tries before this one."""


class Backend(Protocol):
    """Answers model calls; owns retries, timeouts and the concurrency limit of each tier."""

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Return the complete reply.

        Cancelling the awaiting task closes the model's stream at once.

        Raises:
            BackendError: the call failed after its retries; ``error.attempts`` lists the tries.
        """
        ...

    async def aclose(self) -> None:
        """Close every pooled connection."""
        ...


@runtime_checkable
class Recalling(Protocol):
    """A backend whose next reply depends on what its earlier calls left behind, as in a cache."""

    def recall(self, request: ModelRequest) -> None:
        """Take note of a call that is answered from the log of a resumed or forked run."""
        ...
