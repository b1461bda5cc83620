"""Every error of the core, one class for each thing a caller can do differently.

::

    TandemError
    ├── InvalidInput            the user corrects the input and tries again
    ├── BackendError            one model call failed after its retries
    │   ├── EndpointUnreachable     nothing listens: check the address, start the server
    │   ├── EndpointTimeout         it listens but is too slow: raise a timeout or look at the load
    │   ├── EndpointRefused         401, 403, 404: check key, model name, address
    │   ├── RateLimited             429: wait, or lower the concurrency
    │   ├── EndpointFailed          5xx, an aborted or a cut stream: the server broke
    │   ├── ProtocolViolation       it does not speak this protocol (HTML, broken JSON)
    │   └── RequestRejected         400, 422: this request can never succeed
    │       └── ContextTooLong          the prompt does not fit the tier's context
    ├── LimitExceeded           a configured limit of the run was reached
    ├── ToolFailed              a tool could not do its work; the agent sees it as its observation
    ├── NonDeterministicReplay  a resumed run asked for another effect than its log holds
    ├── LeaseLost               another worker owns the run now; stop without writing
    └── RunCancelled            somebody pressed stop
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collab_core.domain import Attempt


class TandemError(Exception):
    """Root of the tree.

    ``code`` is stable and machine-readable; ``message`` says what happened, with its numbers;
    ``hint`` says what a person can do about it ("" where there is nothing to do).
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(TandemError):
    """The input cannot be used; ``field`` names the part at fault ("" for the whole)."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class BackendError(TandemError):
    """A model call failed.

    ``retryable``: the same request may succeed later. ``retry_after_s``: the server's own wish, if it
    gave one. ``status``: the HTTP status, if there was a response.
    """

    code = "backend_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after_s = retry_after_s
        self.attempts: tuple[Attempt, ...] = ()
        """Every failed try of the call, this one last; filled in by the retry loop."""
        self.where = ""
        """The step, and of which agent instance; filled in by the session."""


class EndpointUnreachable(BackendError):
    code = "endpoint_unreachable"
    retryable = True


class EndpointTimeout(BackendError):
    """``phase`` is the timeout that ran out: connect, first_byte, between_chunks or total."""

    code = "endpoint_timeout"
    retryable = True

    def __init__(self, message: str, *, phase: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.phase = phase


class EndpointRefused(BackendError):
    code = "endpoint_refused"


class RateLimited(BackendError):
    code = "rate_limited"
    retryable = True


class EndpointFailed(BackendError):
    code = "endpoint_failed"
    retryable = True


class ProtocolViolation(BackendError):
    code = "protocol_violation"
    retryable = True


class RequestRejected(BackendError):
    code = "request_rejected"


class ContextTooLong(RequestRejected):
    code = "context_too_long"


class LimitExceeded(TandemError):
    """``kind`` is the limit's field name in ``domain.Limits``; ``value`` reached ``limit``."""

    code = "limit_exceeded"

    def __init__(self, *, kind: str, value: float, limit: float) -> None:
        super().__init__(
            f"The run reached its limit {kind} = {limit:g} (now {value:g}).",
            hint=f"Raise {kind} under Advanced and run it again, or fork the run from its last step.",
        )
        self.kind = kind
        self.value = value
        self.limit = limit


class ToolFailed(TandemError):
    """``hosts`` of the network were asked before it failed, in order."""

    code = "tool_failed"

    def __init__(self, message: str, *, hint: str = "", hosts: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.hosts = hosts


class ScorerFailed(TandemError):
    """A learned router's model broke; routing on without it would be another strategy."""

    code = "scorer_failed"


class PolicyFailed(TandemError):
    """A policy raised, or decided what cannot be: a fault of that policy."""

    code = "policy_failed"


class NonDeterministicReplay(TandemError):
    code = "non_deterministic_replay"


class LeaseLost(TandemError):
    code = "lease_lost"


class RunCancelled(TandemError):
    code = "cancelled"
