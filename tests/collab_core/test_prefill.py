"""The account of warm-ups, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Limits, Task, TierSnapshot, Timing, Usage
from collab_core.prefill import warm_prefill
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from tests.collab_core.replies import acts, answers, spec
from tests.collab_core.runtime.test_engine import Note


def queued(**prices: float) -> ev.RunQueued:
    tiers = (TierSnapshot(name="s", model="s"), TierSnapshot(name="l", model="l", **prices))
    return ev.RunQueued(
        task=Task(question="q"), strategy="x", parameters={}, ladder=tiers, seed=0, limits=Limits()
    )


def replied(step: int, tier: int, tokens: int, cached: int | None, **more: Any) -> ev.ModelReplied:
    warm = more.pop("warm", False)
    scope = more.pop("scope", "") + (f"~warm-{step}" if warm else "")
    return ev.ModelReplied(
        key=f"{scope}:{step}",
        step=step,
        scope=scope,
        purpose="warm_prefill" if warm else "think",
        tier=tier,
        tier_name="sl"[tier],
        request_digest="",
        text="",
        finish_reason="stop",
        usage=Usage(
            input_tokens=tokens, cached_tokens=cached, output_tokens=more.pop("output", 10)
        ),
        timing=Timing(first_token_s=more.pop("prefill_s", 0.0), total_s=more.pop("total_s", 1.0)),
        cost_usd=more.pop("cost_usd", None),
    )


# large plans (1000 tokens), small works, the warm-up at step 3 shows large 1600 tokens, large takes over
STORY = [
    replied(1, 1, 1_000, 0, prefill_s=1.0),
    replied(2, 0, 1_200, 0),
    replied(3, 0, 1_600, 1_200, total_s=2.0),
    replied(3, 1, 1_600, 1_000, warm=True, output=1, prefill_s=0.8, total_s=2.5, cost_usd=0.0007),
    replied(4, 1, 2_000, 1_600, prefill_s=0.2),
]


def test_saved_tokens_are_those_beyond_the_tiers_own_cache() -> None:
    account = warm_prefill([queued(price_input_usd=1.0, price_cached_usd=0.1), *STORY])
    assert account is not None
    assert (account.calls, account.take_overs) == (1, 1)
    assert (account.input_tokens, account.uncached_tokens, account.output_tokens) == (1_600, 600, 1)
    assert (account.busy_s, account.waited_s, account.cost_usd) == (2.5, 0.5, 0.0007)
    # 1600 found, of which 1010 stood there from step 1 anyway
    assert account.saved_tokens == 590
    # large prefilled 1000 + 600 + 400 tokens in 1.0 + 0.8 + 0.2 s: 1 ms a token
    assert account.saved_s == pytest.approx(0.59)
    assert account.saved_usd == pytest.approx(590 * 0.9 / 1e6)


def test_the_account_in_words() -> None:
    account = warm_prefill(STORY)
    assert account is not None
    assert account.sentence == (
        "Warm prefill: 1 warm-up took 2.50 s beside the steps and held them up 0.50 s. "
        "1 take-over found 590 more tokens cached, about 0.59 s."
    )


def test_a_warm_up_that_nobody_used_saved_nothing() -> None:
    account = warm_prefill([queued(price_input_usd=1.0), *STORY[:-1]])
    assert account is not None
    assert (account.take_overs, account.saved_tokens, account.saved_s) == (0, 0, 0)


def test_what_the_first_warm_up_found_cached_was_there_without_it() -> None:
    story = [
        replied(1, 1, 1_000, 900, warm=True, output=1),
        replied(2, 1, 1_400, 1_000, warm=True, output=1),
        replied(3, 1, 1_800, 1_400),
    ]
    account = warm_prefill(story)
    assert account is not None
    assert account.saved_tokens == 500


def test_cached_tokens_that_no_warm_up_showed_the_tier_are_not_claimed() -> None:
    story = [replied(1, 1, 1_000, 0, warm=True, output=1), replied(2, 1, 3_000, 2_500)]
    account = warm_prefill(story)
    assert account is not None
    assert account.saved_tokens == 1_000


def test_another_instances_warm_up_does_not_count() -> None:
    story = [replied(1, 1, 1_000, 0, warm=True, scope="seeker-1"), replied(2, 1, 1_100, 1_000)]
    account = warm_prefill(story)
    assert account is not None
    assert account.take_overs == 0


def test_what_the_server_does_not_say_stays_unknown() -> None:
    account = warm_prefill([replied(1, 1, 9, None, warm=True), replied(2, 1, 9, None)])
    assert account is not None
    assert (account.saved_tokens, account.saved_s, account.cost_usd) == (None, None, None)


def test_a_run_without_warm_ups_has_no_account() -> None:
    assert warm_prefill(STORY[:3]) is None


def _by_length(request: ModelRequest) -> ModelReply:
    """Small stalls at its second step; large then answers."""
    done = sum(message["role"] == "assistant" for message in request.transcript.messages)
    reply = (acts(1), acts(0, arguments='{"text": "y"}'), answers())[min(done, 2)]
    return ModelReply(
        text=reply.text,
        tool_calls=reply.tool_calls,
        usage=Usage(input_tokens=1_000 + 600 * done, cached_tokens=0, output_tokens=20),
        timing=Timing(first_token_s=0.1, total_s=0.2),
    )


@pytest.mark.parametrize(("when", "warmed_steps"), [("off", []), ("always", [2]), ("signs", [])])
async def test_agentcollab_warms_the_tier_that_a_stall_would_call(
    when: str, warmed_steps: list[int]
) -> None:
    backend = ScriptedBackend([_by_length] * 9)
    journal = MemoryJournal()
    await execute(
        spec("agentcollab", parameters={"warm_up_steps": 0, "warm_prefill": when}),
        journal,
        backend=backend,
        tools=(Note(),),
    )
    warm = [request for request in backend.requests if request.max_output_tokens == 1]
    assert {request.tier.name for request in warm} <= {"large"}
    replies = [r.event for r in journal.records if isinstance(r.event, ev.ModelReplied)]
    assert [e.step for e in replies if e.purpose == "warm_prefill"] == warmed_steps
