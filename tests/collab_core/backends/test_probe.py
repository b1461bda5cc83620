from __future__ import annotations

from dataclasses import replace

from collab_core.backends.probe import answers, probe
from collab_core.domain import Tier
from collab_core.errors import RateLimited
from tests.fakes.model_server import (
    ModelServer,
    Pause,
    Received,
    Reply,
    delta,
    error,
    hello,
    sse,
    usage,
)

MODELS = Reply(actions=(b'{"data":[{"id":"small-1"}]}',), content_type="application/json")


WHOLE = Reply(
    actions=(
        (
            b'{"id":"1","object":"chat.completion","created":1,"model":"small-1","choices":[{"index":0,'
            b'"message":{"role":"assistant","content":"Hi"},"finish_reason":"length"}]}'
        ),
    ),
    content_type="application/json",
)


def tier(server: ModelServer) -> Tier:
    return Tier(name="small", model="small-1", base_url=server.base_url)


def vllm_like(request: Received) -> Reply:
    if request.method == "GET":
        return MODELS
    body = request.json
    if not body.get("stream"):
        return WHOLE
    text = "qz7" if "structured_outputs" in body else "word"
    tokens = [delta(content=text)] if "structured_outputs" in body else [delta(content=text)] * 20
    if body.get("logprobs"):
        tokens[0]["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}]}
    last = usage(completion=len(tokens), cached=0) | {"metrics": {"queue_time_ms": 1.0}}
    pieces = [sse(token, done=False) for token in tokens]
    timed = [part for piece in pieces for part in (piece, Pause(0.002))]
    return Reply(actions=(*timed, sse(delta(finish="stop"), last)))


async def test_a_server_that_can_do_all() -> None:
    async with ModelServer(vllm_like) as server:
        report = await probe(tier(server))
    assert report.works
    assert report.models == ("small-1",)
    assert report.notes == ()
    assert report.reports_usage
    assert report.reports_cached_tokens
    assert report.reports_queue
    assert report.gives_logprobs
    assert report.structured_output
    assert report.supports_priority
    assert report.official_client
    assert report.first_token_s is not None
    assert report.tokens_per_s is not None
    assert 1 < report.tokens_per_s < 500 + 20


async def test_a_server_that_can_do_little() -> None:
    def plain(request: Received) -> Reply:
        if request.method == "GET":
            return error(404, "nothing here")
        if "priority" in request.json:
            return error(400, "Unrecognized request argument: priority")
        # no usage at all, streams unasked, and structured_outputs ignored
        return Reply(actions=(sse(delta(content="x"), delta(finish="stop")),))

    async with ModelServer(plain) as server:
        report = await probe(tier(server))
    assert report.works
    assert report.models is None
    assert report.official_client is False
    assert "official client" in report.notes[-1]
    assert (report.reports_usage, report.reports_cached_tokens, report.reports_queue) == (
        False,
    ) * 3
    assert (report.gives_logprobs, report.structured_output, report.supports_priority) == (
        False,
    ) * 3


async def test_a_dead_engine_behind_a_healthy_list() -> None:
    def dead(request: Received) -> Reply:
        return MODELS if request.method == "GET" else error(500, "engine dead")

    async with ModelServer(dead) as server:
        report = await probe(tier(server))
    assert not report.works
    assert (report.error_code, report.models) == ("endpoint_failed", ("small-1",))
    assert sum(r.method == "POST" for r in server.requests) == 1


async def test_nobody_listens() -> None:
    async with ModelServer([]) as server:
        nobody = tier(server)
    report = await probe(nobody)
    assert (report.works, report.error_code, report.models) == (False, "endpoint_unreachable", None)


async def test_an_impossible_address_is_a_report_too() -> None:
    report = await probe(Tier(name="a", model="m", base_url="nonsense"))
    assert (report.works, report.error_code) == (False, "endpoint_refused")


async def test_a_question_that_fails_leaves_a_note() -> None:
    def no_logprobs(request: Received) -> Reply:
        broken = request.method == "POST" and request.json.get("logprobs")
        return error(500, "logprobs crash") if broken else vllm_like(request)

    async with ModelServer(no_logprobs) as server:
        report = await probe(tier(server))
    assert report.works
    assert report.gives_logprobs is None
    assert report.notes == ("log-probabilities: HTTP 500: logprobs crash",)


async def test_answers_tells_why_not() -> None:
    async with ModelServer([hello(), error(429, "busy")]) as server:
        assert await answers(tier(server)) is None
        assert isinstance(await answers(tier(server)), RateLimited)
    assert server.requests[0].json["max_tokens"] == 1


async def test_the_key_is_taken_from_the_given_environment() -> None:
    async with ModelServer([hello()]) as server:
        keyed = replace(tier(server), api_key_env="K")
        assert await answers(keyed, environ={"K": "abc"}) is None
    assert server.requests[0].headers["authorization"] == "Bearer abc"
