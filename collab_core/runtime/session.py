"""An agent's only door to the world: journaled effects, replay, limits.

Every effect has a key (scope and counter). While the log still holds events of a scope, effects are
answered from it and emitted events are checked against it; the first unknown one is where real work
goes on. That gives crash resume, exact re-rendering and forks without special code in any agent.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from collab_core import events as ev
from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest, Recalling
from collab_core.domain import Ladder, Limits, Task, ToolCall, Usage
from collab_core.errors import BackendError, LimitExceeded, NonDeterministicReplay, ToolFailed
from collab_core.runtime.costs import cost_usd
from collab_core.runtime.scoring import numbers
from collab_core.runtime.world import World, step_of
from collab_core.tools.arguments import json_object
from collab_core.tools.base import MAX_OBSERVATION_CHARS, Tool, Toolbox, ToolOutcome
from collab_core.tools.hostile import neutralised
from collab_core.transcript import Transcript

if TYPE_CHECKING:
    from collab_core.learned.base import Scorer

logger = logging.getLogger(__name__)

TOOL_LIMIT_S = 3_700.0
"""Of one tool call, or the run's whole time if that is less. Every tool has a limit of its own; this
one is above the longest of them, and no run waits for ever for one that has none."""
_REQUEST_ID_SIGNS = str.maketrans("/:~ ", ".-__")

E = TypeVar("E", bound=ev.Event)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One model call an agent asks for; see :class:`ModelRequest` for the common fields."""

    tier: int
    step: int
    purpose: str
    transcript: Transcript
    suffix: tuple[Mapping[str, Any], ...] = ()
    with_tools: bool = True
    tool_choice: str = "auto"
    temperature: float = 0.6
    top_p: float = 0.95
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    structured: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    """None = the run's own limit."""


class Session:
    """One branch of a run. ``scope`` "" is the main one; see :meth:`branch` and :meth:`aside`."""

    def __init__(self, world: World, scope: str = "", toolbox: Toolbox | None = None) -> None:
        self.world = world
        self.scope = scope
        self.toolbox = toolbox if toolbox is not None else world.toolbox.fresh()
        """What this branch's agent can call; its schemas are part of every prompt."""
        self.random = random.Random(f"{world.seed}/{scope}")
        self._recorded = world.recorded[scope]
        self._effects = 0
        self.effect_s = 0.0
        """Seconds spent inside live effects: the rest of a step's wall time is overhead."""

    @property
    def task(self) -> Task:
        return self.world.task

    @property
    def ladder(self) -> Ladder:
        return self.world.ladder

    @property
    def limits(self) -> Limits:
        return self.world.limits

    @property
    def replaying(self) -> bool:
        """True while the log still holds events of this branch."""
        return bool(self._recorded)

    def branch(self, name: str, toolbox: Toolbox | None = None) -> Session:
        """Return a door for another agent instance; its effects are keyed apart from all others.

        ``name`` must be new in the run and the same in a replay.
        """
        scope = f"{self.scope}/{name}" if self.scope else name
        return Session(self.world, scope, toolbox or self.toolbox.fresh())

    def aside(self, name: str) -> Session:
        """Return a door for effects made side by side within one step of this instance."""
        return Session(self.world, f"{self.scope}~{name}", self.toolbox.fresh())

    def next_step(self) -> int:
        """Return the number of this branch's next step: the log's, or the run's next free one."""
        if self._recorded:
            return step_of(self._recorded[0])
        return self.world.take_step()

    def peek(self, kind: type[E]) -> E | None:
        """Return the next recorded event of this branch if it is of ``kind``, without taking it."""
        if self._recorded and isinstance(self._recorded[0], kind):
            return self._recorded[0]
        return None

    def emit(self, event: E) -> E:
        """Add an event to the log, or, in a replay, return the one that is already there.

        It becomes durable before the next effect begins.

        Raises:
            NonDeterministicReplay: the log holds another event at this place.
        """
        if not self._recorded:
            self.world.unwritten.append(event)  # type: ignore[arg-type]
            self.world.ledger.add(event)
            return event
        known = self._recorded.popleft()
        if type(known) is not type(event) or step_of(known) != step_of(event):
            raise NonDeterministicReplay(
                f"The log holds {_name(known)} where the run now makes {_name(event)}.",
                hint="The strategy or its code changed since the run began; start the run anew.",
            )
        return known

    def check_limits(self) -> None:
        """Compare what was spent with the run's limits, before more is spent.

        In a replay nothing is compared: all that the log knows counts as spent from the beginning.

        Raises:
            LimitExceeded: naming the limit.
        """
        if self._recorded:
            return
        ledger, limits = self.world.ledger, self.limits
        spent = (
            ("max_tokens", ledger.usage.input_tokens + ledger.usage.output_tokens),
            ("max_cost_usd", ledger.cost_usd),
            ("max_wall_s", ledger.elapsed_s),
        )
        for kind, value in spent:
            limit = getattr(limits, kind)
            if limit is not None and value is not None and value >= limit:
                raise LimitExceeded(kind=kind, value=float(value), limit=float(limit))

    async def complete(self, call: Call) -> ev.ModelReplied:
        """Return a model's reply, from the log if it is known there.

        It is charged before anybody parses it.

        Raises:
            BackendError: the call failed after its retries.
            NonDeterministicReplay: the log holds another effect at this place.
        """
        key = self._next_key()
        digest = call.transcript.digest(call.suffix)
        known = self._take(ev.ModelReplied, key, call.step)
        if known is not None:
            if (known.request_digest, known.purpose, known.tier) != (
                digest,
                call.purpose,
                call.tier,
            ):
                raise NonDeterministicReplay(
                    f"Step {call.step}: the log's model call {key} was made with another prompt, "
                    "purpose or tier than the run asks for now.",
                    hint="The prompts or the strategy changed since the run began; start it anew.",
                )
            if isinstance(self.world.backend, Recalling):
                self.world.backend.recall(self._request(call, key))
            return known
        await self.world.flush()
        started = self.world.clock()
        sink = self._delta_sink(call) if self.world.on_delta else None
        try:
            reply = await self.world.backend.complete(self._request(call, key), sink)
        except (BackendError, asyncio.CancelledError) as error:
            self._charge_broken(call, error, self.world.clock() - started)
            # the log will not know this call: the next one takes its key, live and replayed
            self._effects -= 1
            if isinstance(error, BackendError):
                error.where = f"step {call.step}" + (f" of {self.scope}" if self.scope else "")
            raise
        self.effect_s += self.world.clock() - started
        replied = self._replied(call, key, digest, reply)
        self.emit(replied)
        return replied

    def _charge_broken(self, call: Call, error: BaseException, duration_s: float) -> None:
        attempts = error.attempts if isinstance(error, BackendError) else ()
        broken = Usage(output_tokens=sum(attempt.output_tokens for attempt in attempts))
        self.world.ledger.add_broken_call(
            self.scope,
            duration_s=duration_s,
            attempts=attempts,
            cost=cost_usd(self.ladder.tiers[call.tier], broken),
        )

    async def score(
        self, scorer: Scorer, texts: tuple[str, ...], *, step: int
    ) -> ev.ScorerReturned:
        """Return a learned scorer's numbers, from the log if they are known there.

        Raises:
            ScorerFailed: it raised, or gave something that is no finite number.
            NonDeterministicReplay: the log holds another effect at this place.
        """
        key = self._next_key()
        digest = hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:32]
        known = self._take(ev.ScorerReturned, key, step)
        if known is not None:
            if (known.request_digest, known.digest) != (digest, scorer.digest):
                raise NonDeterministicReplay(
                    f"Step {step}: the log's scorer call {key} read other texts or had other "
                    "weights than the run asks for now.",
                    hint="The weights or the strategy changed since the run began; start it anew.",
                )
            return known
        await self.world.flush()
        started = self.world.clock()
        values = await numbers(scorer, texts)
        duration_s = self.world.clock() - started
        self.effect_s += duration_s
        return self.emit(
            ev.ScorerReturned(
                key=key,
                step=step,
                scope=self.scope,
                scorer=scorer.name,
                digest=scorer.digest,
                request_digest=digest,
                values=values,
                stand_in=scorer.stand_in,
                duration_s=duration_s,
            )
        )

    def delegated(
        self, call: ToolCall, observation: str, *, step: int, duration_s: float, error: bool = False
    ) -> ev.ToolReturned:
        """Write down what other agents made of a call; their own effects are in the log already."""
        return self.emit(
            ev.ToolReturned(
                key=self._next_key(),
                step=step,
                scope=self.scope,
                call_id=call.id,
                tool=call.name,
                arguments=call.arguments,
                observation=neutralised(observation),
                error=error,
                duration_s=duration_s,
                delegated=True,
            )
        )

    def skip(self, kind: type[E]) -> None:
        """Pass over recorded events of ``kind``: inherited steps were decided by their parent."""
        while (known := self.peek(kind)) is not None:
            self._recorded.popleft()
            self._effects += isinstance(known, ev.ScorerReturned)

    async def use(self, call: ToolCall, *, step: int) -> ev.ToolReturned:
        """Run one tool and return what the agent is shown of it; a tool's failure is an observation.

        Raises:
            NonDeterministicReplay: the log holds another effect at this place.
        """
        key = self._next_key()
        known = self._take(ev.ToolReturned, key, step)
        if known is not None:
            self._remember(known)
            return known
        await self.world.flush()
        started = self.world.clock()
        outcome, error = await self._run_tool(call)
        duration_s = self.world.clock() - started
        self.effect_s += duration_s
        returned = ev.ToolReturned(
            key=key,
            step=step,
            scope=self.scope,
            call_id=call.id,
            tool=call.name,
            arguments=call.arguments,
            # the one place where text of strangers enters a prompt
            observation=neutralised(outcome.text),
            truncated=outcome.truncated,
            error=error,
            duration_s=duration_s,
            hosts=outcome.hosts,
        )
        self.emit(returned)
        return returned

    def _remember(self, known: ev.ToolReturned) -> None:
        """Let a tool with a state take over a call that the log answered in its place."""
        tool = self.toolbox.stateful.get(known.tool)
        if tool is None or known.error:
            return
        try:
            arguments = json_object(known.arguments)
            tool.replay(arguments, known.observation)
        except (ToolFailed, msgspec.DecodeError) as error:
            raise NonDeterministicReplay(
                f"Step {known.step}: the tool {known.tool} refuses a call that it once took ({error}).",
                hint="The tool's rules changed since the run began; start the run anew.",
            ) from error

    async def _run_tool(self, call: ToolCall) -> tuple[ToolOutcome, bool]:
        """Return what the tool says, at most ``MAX_OBSERVATION_CHARS``, and whether it failed."""
        try:
            arguments = json_object(call.arguments)
        except msgspec.DecodeError as error:
            return _failed(f"the arguments are not a JSON object ({error}).")
        tool = self.toolbox.by_name.get(call.name)
        if tool is None:
            names = ", ".join(self.toolbox.by_name) or "none"
            return _failed(f"there is no tool {call.name[:80]!r}. Tools: {names}.")
        try:
            outcome = await self._answer_of(tool, arguments)
        except ToolFailed as error:
            return _failed(error.message, hosts=error.hosts)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # something inside the tool was cancelled, not the run
            return _failed("the tool was interrupted.")
        except Exception as error:
            logger.exception("run %s: tool %s raised", self.world.run_id, call.name)
            return _failed(f"the tool broke ({type(error).__name__}).")
        if len(outcome.text) > MAX_OBSERVATION_CHARS:
            text = outcome.text[:MAX_OBSERVATION_CHARS] + "\n[cut here]"
            outcome = replace(outcome, text=text, truncated=True)
        return outcome, False

    async def _answer_of(self, tool: Tool, arguments: Mapping[str, Any]) -> ToolOutcome:
        limit_s = min(TOOL_LIMIT_S, self.limits.max_wall_s or TOOL_LIMIT_S)
        try:
            async with asyncio.timeout(limit_s) as limit:
                outcome = await tool(arguments)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ToolFailed(f"the tool did not answer within {limit_s:g} seconds.") from error
        if not isinstance(outcome, ToolOutcome):
            raise TypeError(f"{tool.name} gave no ToolOutcome")
        return outcome

    def _next_key(self) -> str:
        self._effects += 1
        return f"{self.scope or 'main'}:{self._effects}"

    def _take(self, kind: type[E], key: str, step: int) -> E | None:
        if not self._recorded:
            return None
        known = self._recorded[0]
        if not isinstance(known, kind) or getattr(known, "key", None) != key:
            raise NonDeterministicReplay(
                f"Step {step}: the log holds {_name(known)} where the run asks for effect {key}.",
                hint="The strategy or its code changed since the run began; start the run anew.",
            )
        self._recorded.popleft()
        return known

    def _request(self, call: Call, key: str) -> ModelRequest:
        tier = self.ladder.tiers[call.tier]
        seed = hashlib.sha256(f"{self.world.seed}/{key}".encode()).digest()
        return ModelRequest(
            tier=tier,
            transcript=call.transcript,
            suffix=call.suffix,
            tools_json=self.toolbox.json if call.with_tools else b"",
            tool_choice=call.tool_choice,
            temperature=call.temperature,
            top_p=call.top_p,
            max_output_tokens=call.max_output_tokens or self.limits.max_output_tokens,
            seed=int.from_bytes(seed[:4], "big") >> 1,
            stop=call.stop,
            logprobs=call.logprobs,
            structured=call.structured if tier.structured_output else None,
            request_id=f"{self.world.run_id}-{key.translate(_REQUEST_ID_SIGNS)}",
        )

    def _replied(self, call: Call, key: str, digest: str, reply: ModelReply) -> ev.ModelReplied:
        tier = self.ladder.tiers[call.tier]
        return ev.ModelReplied(
            key=key,
            step=call.step,
            scope=self.scope,
            purpose=call.purpose,
            tier=call.tier,
            tier_name=tier.name,
            request_digest=digest,
            text=reply.text,
            reasoning=reply.reasoning,
            tool_calls=reply.tool_calls,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            timing=reply.timing,
            cost_usd=cost_usd(tier, _charged(reply)),
            mean_logprob=reply.mean_logprob,
            first_token_margin=reply.first_token_margin,
            decisive_margin=reply.decisive_margin,
            attempts=reply.attempts,
        )

    def _delta_sink(self, call: Call) -> DeltaSink:
        publish = self.world.on_delta

        def sink(attempt: int, offset: int, text: str, kind: str) -> None:
            if publish is not None:
                publish(
                    ev.ModelDelta(
                        step=call.step,
                        scope=self.scope,
                        purpose=call.purpose,
                        attempt=attempt,
                        offset=offset,
                        text=text,
                        kind=kind,  # type: ignore[arg-type]
                    )
                )

        return sink


def _charged(reply: ModelReply) -> Usage:
    """Add the tokens that failed attempts had already generated: they were paid for as well."""
    broken = sum(attempt.output_tokens for attempt in reply.attempts)
    return replace(reply.usage, output_tokens=reply.usage.output_tokens + broken)


def _failed(message: str, *, hosts: tuple[str, ...] = ()) -> tuple[ToolOutcome, bool]:
    return ToolOutcome(text=f"Error: {message}", hosts=hosts), True


def _name(event: ev.Event) -> str:
    step = step_of(event)
    return f"{event.__struct_config__.tag}" + (f" of step {step}" if step else "")
