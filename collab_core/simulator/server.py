"""An OpenAI-compatible HTTP server with simulated models, on vLLM's routes."""

from __future__ import annotations

import asyncio
import hmac
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from collab_core.backends.models import SIMULATED
from collab_core.errors import InvalidInput
from collab_core.simulator.engine import Engine
from collab_core.simulator.presets import Preset, load_preset
from collab_core.simulator.protocol import Envelope, Measured, Refused, alternatives
from collab_core.simulator.speed import count_tokens
from collab_core.simulator.stream import Reply

MAX_BODY_BYTES = 32_000_000
_SHUTDOWN_S = 2.0
_log = logging.getLogger(__name__)


class SimulatedServer:
    """The routes and the engines of all models; ``api_key`` "" = no key is asked for."""

    def __init__(
        self,
        presets: Iterable[Preset],
        *,
        time_scale: float = 1.0,
        seed: int = 0,
        api_key: str = "",
    ) -> None:
        if time_scale < 0:
            raise InvalidInput("The time scale cannot be negative.", field="time_scale")
        self.engines = {
            model.name: Engine(model, time_scale=time_scale, seed=seed)
            for preset in presets
            for model in preset.models
        }
        self._api_key = api_key

    def application(self) -> web.Application:
        """Return the application to run or to test."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._answer_errors])
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        app.on_shutdown.append(self._stop)
        return app

    def runner(self) -> web.AppRunner:
        """Return what serves the application; set up, sites and clean-up are the caller's."""
        # a client that goes away cancels its handler, which frees the slot
        return web.AppRunner(
            self.application(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_S,
        )

    @web.middleware
    async def _answer_errors(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Any],
    ) -> web.StreamResponse:
        try:
            if request.path.startswith("/v1/"):
                self._check_key(request)
            response: web.StreamResponse = await handler(request)
        except Refused as error:
            return web.json_response(error.body, status=error.status)
        return response

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._api_key and not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise Refused(401, "Unauthorized", "AuthenticationError")

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await _json_body(request)
        engine = self._engine(body)
        fault = engine.draw_fault()
        if fault == "rate_limit":
            return _rate_limited(engine.model.faults.retry_after_s)
        if fault == "server_error":
            raise Refused(500, "The simulated engine failed.", "InternalServerError")
        generation, prompt = engine.prepare(body)
        measured = Measured(prompt_tokens=count_tokens(prompt))
        name = request.headers.get("X-Request-Id", "")[:100] or uuid.uuid4().hex
        envelope = Envelope(
            id=f"chatcmpl-{name}", model=engine.model.name, logprobs=alternatives(body)
        )
        reply = Reply(engine, generation, envelope, measured, fault)
        priority = body.get("priority")
        ticks = engine.generate(
            generation, prompt, measured, priority if isinstance(priority, int) else 0
        )
        async with aclosing(ticks):
            if not body.get("stream"):
                return await reply.whole(ticks)
            options = body.get("stream_options")
            wanted = bool(isinstance(options, Mapping) and options.get("include_usage"))
            return await reply.stream(request, ticks, include_usage=wanted)

    def _engine(self, body: Any) -> Engine:
        name = body.get("model") if isinstance(body, Mapping) else None
        engine = self.engines.get(name) if isinstance(name, str) else None
        if engine is None:
            message = f"The model `{str(name)[:100]}` does not exist."
            raise Refused(404, message, "NotFoundError")
        return engine

    async def _models(self, _request: web.Request) -> web.Response:
        cards = [
            {
                "id": engine.model.name,
                "object": "model",
                "owned_by": SIMULATED,
                "max_model_len": engine.model.context_tokens,
            }
            for engine in self.engines.values()
        ]
        return web.json_response({"object": "list", "data": cards})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "simulated"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        lines = [line for engine in self.engines.values() for line in _metric_lines(engine)]
        return web.Response(text="\n".join(lines) + "\n")

    async def _stop(self, _app: web.Application) -> None:
        for engine in self.engines.values():
            engine.stopping = True


async def _json_body(request: web.Request) -> Any:
    raw = await request.read()
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise Refused(400, f"The body is not JSON: {error}.") from error


def _rate_limited(retry_after_s: float) -> web.Response:
    body = Refused(429, "Too many requests; the simulated server is busy.", "RateLimitError").body
    return web.json_response(body, status=429, headers={"Retry-After": f"{retry_after_s:g}"})


def _metric_lines(engine: Engine) -> list[str]:
    label = f'engine="0",model_name="{engine.model.name}"'
    counters = engine.counters
    figures = {
        "num_requests_running": engine.slots.running,
        "num_requests_waiting": engine.slots.waiting,
        "kv_cache_usage_perc": engine.cache.usage_frac,
        "prefix_cache_queries_total": counters["prompt_tokens"],
        "prefix_cache_hits_total": counters["cached_tokens"],
        "prompt_tokens_total": counters["prompt_tokens"],
        "prompt_tokens_cached_total": counters["cached_tokens"],
        "generation_tokens_total": counters["generation_tokens"],
    }
    lines = [f"vllm:{name}{{{label}}} {value}" for name, value in figures.items()]
    for reason in ("stop", "length", "tool_calls"):
        count = engine.finished[reason]
        lines.append(f'vllm:request_success_total{{{label},finished_reason="{reason}"}} {count}')
    return lines


async def serve(
    host: str,
    port: int,
    preset_names: Iterable[str],
    *,
    time_scale: float = 1.0,
    seed: int = 0,
    api_key: str = "",
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until ``stop`` is set or the task is cancelled.

    ``ready`` is called with the port once connections are accepted; port 0 takes a free one.

    Raises:
        InvalidInput: there is no such preset.
        OSError: the address cannot be bound.
    """
    presets = [load_preset(name) for name in preset_names]
    server = SimulatedServer(presets, time_scale=time_scale, seed=seed, api_key=api_key)
    runner = server.runner()
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = int(runner.addresses[0][1])
        _log.info("simulated tiers on %s:%d: %s", host, bound, ", ".join(server.engines))
        if ready is not None:
            ready(bound)
        await (stop or asyncio.Event()).wait()
    finally:
        await runner.cleanup()
