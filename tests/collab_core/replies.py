"""Short ways to write model replies and runs for tests."""

from __future__ import annotations

from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.domain import Ladder, Limits, Task, Tier, Timing, ToolCall, Usage
from collab_core.runtime.engine import RunSpec


def block(indicator: int, rationale: str = "because") -> str:
    return (
        f"<progress><rationale>{rationale}</rationale><indicator>{indicator}</indicator></progress>"
    )


def acts(indicator: int = 1, tool: str = "note", arguments: str = '{"text": "x"}') -> ModelReply:
    return ModelReply(
        text=f"Thinking. {block(indicator)}",
        tool_calls=(ToolCall(id="call", name=tool, arguments=arguments),),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=100, cached_tokens=60, output_tokens=20),
        timing=Timing(first_token_s=0.1, decode_s=0.4, total_s=0.5),
    )


def answers(text: str = "Paris", indicator: int = 1) -> ModelReply:
    return ModelReply(
        text=f"Done. {block(indicator)} <answer>{text}</answer>",
        usage=Usage(input_tokens=200, output_tokens=10),
        timing=Timing(first_token_s=0.1, decode_s=0.1, total_s=0.2),
    )


def says(text: str) -> ModelReply:
    return ModelReply(text=text, usage=Usage(input_tokens=10, output_tokens=5))


def ladder(*names: str) -> Ladder:
    return Ladder(
        name="test",
        tiers=tuple(
            Tier(
                name=name,
                model=f"{name}-model",
                base_url="http://127.0.0.1:9/v1",
                price_input_usd=1.0,
                price_output_usd=2.0,
            )
            for name in names or ("small", "large")
        ),
    )


def spec(strategy: str = "small", **more: object) -> RunSpec:
    fields: dict[str, object] = {
        "task": Task(question="Capital of France?"),
        "gold": ("Paris",),
        "strategy": strategy,
        "parameters": {},
        "ladder": ladder(),
        "seed": 7,
        "limits": Limits(max_steps=12),
        "run_id": "r",
    }
    return RunSpec(**{**fields, **more})  # type: ignore[arg-type]


def tiers_asked(requests: list[ModelRequest]) -> list[str]:
    return [request.tier.name for request in requests]
