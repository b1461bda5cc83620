"""Which vLLM servers to run, and how each is started: a checked file in, command lines out.

vLLM is never imported here: it lives in an environment of its own and is started as a process.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from collab_core.domain import Tier, Timeouts
from collab_core.errors import InvalidInput

INSTALL_HINT = (
    "Install it into an environment of its own: python3.11 -m venv .venv-vllm && "
    ".venv-vllm/bin/pip install vllm (GPU), or tests/vllm/run.sh --install-only (CPU); "
    "then name its interpreter as `python` in the file."
)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServedTier(_Strict):
    """One server of the file."""

    name: Name
    """Also the name the model is served under."""
    model: Annotated[str, Field(min_length=1)]
    """A folder, relative to the file, or a name that vLLM can resolve."""
    port: Annotated[int, Field(ge=1, le=65535)]
    host: str = "127.0.0.1"
    device: Literal["gpu", "cpu"] = "gpu"
    gpus: str = ""
    """CUDA_VISIBLE_DEVICES, such as "0" or "0,1"; "" leaves it alone."""
    max_model_len: Annotated[int, Field(ge=16)] | None = None
    dtype: str = "auto"
    tool_parser: str = "hermes"
    """vLLM's ``--tool-call-parser``; "" = none."""
    reasoning_parser: str = ""
    api_key_env: str = ""
    """Name of the variable whose value the server will ask for; "" = no key."""
    extra_args: tuple[str, ...] = ()
    env: dict[str, str] = {}


class ServingFile(_Strict):
    """The whole file."""

    python: str = ""
    """Interpreter of vLLM's environment, relative to the file; "" = the ``vllm`` command."""
    start_timeout_s: Annotated[float, Field(gt=0)] = 900.0
    tier: Annotated[tuple[ServedTier, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what in ("name", "port"):
            values = [getattr(tier, what) for tier in self.tier]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"two tiers have the {what} {min(twice)}")
        return self


def load(path: Path) -> ServingFile:
    """Read and check the file; paths in it become absolute.

    Raises:
        InvalidInput: it cannot be read, is not TOML, or says something impossible.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", field="file") from error
    try:
        checked = ServingFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path}: {place}: {first['msg']}", field=place) from error
    return _absolute(checked, path.resolve().parent)


def _absolute(file: ServingFile, folder: Path) -> ServingFile:
    tiers = tuple(
        tier.model_copy(update={"model": str(folder / tier.model)})
        if (folder / tier.model).is_dir()
        else tier
        for tier in file.tier
    )
    # not resolved: an environment's python is a link, and the link is what names the environment
    python = str(folder / file.python) if "/" in file.python else file.python
    return file.model_copy(update={"tier": tiers, "python": python})


def launcher(file: ServingFile) -> list[str]:
    """Return how to start any server of the file.

    Raises:
        InvalidInput: vLLM is not there.
    """
    if not file.python:
        command = shutil.which("vllm")
        if command is None:
            raise InvalidInput("There is no `vllm` command.", field="python", hint=INSTALL_HINT)
        return [command, "serve"]
    _check_interpreter(file.python)
    # not `vllm serve`: the CPU build's command cannot find its own metadata
    return [file.python, "-m", "vllm.entrypoints.openai.api_server", "--model"]


def _check_interpreter(python: str) -> None:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        # the operator's own file names the interpreter; there is no shell in between
        found = subprocess.run([python, "-c", code], check=False, timeout=60).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidInput(f"{python}: {error}", field="python", hint=INSTALL_HINT) from error
    if not found:
        raise InvalidInput(f"{python} has no vllm.", field="python", hint=INSTALL_HINT)


def arguments(tier: ServedTier) -> list[str]:
    """Return the model and the flags of one server; ``extra_args`` come last and so win."""
    flags = [tier.model, "--served-model-name", tier.name, "--host", tier.host]
    flags += ["--port", str(tier.port), "--dtype", tier.dtype, "--enable-prefix-caching"]
    # what the live page and the comparison need from every reply
    flags += ["--enable-prompt-tokens-details", "--enable-per-request-metrics"]
    flags += ["--enable-request-id-headers", "--scheduling-policy", "priority"]
    if tier.tool_parser:
        flags += ["--enable-auto-tool-choice", "--tool-call-parser", tier.tool_parser]
    if tier.reasoning_parser:
        flags += ["--reasoning-parser", tier.reasoning_parser]
    if tier.max_model_len is not None:
        flags += ["--max-model-len", str(tier.max_model_len)]
    if tier.device == "cpu" and "--block-size" not in tier.extra_args:
        # the CPU default of 128 never caches a prompt below 128 tokens, and 16 crashes
        flags += ["--block-size", "32"]
    return [*flags, *tier.extra_args]


def environment(tier: ServedTier, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one server; its key goes in here, never on the command line.

    Raises:
        InvalidInput: the tier names a key variable that is not set.
    """
    made = {**environ, "VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"}
    if tier.gpus:
        made["CUDA_VISIBLE_DEVICES"] = tier.gpus
    made.pop("VLLM_API_KEY", None)
    if tier.api_key_env:
        key = environ.get(tier.api_key_env, "").strip()
        if not key:
            raise InvalidInput(
                f"Tier {tier.name!r} takes its key from {tier.api_key_env}, which is not set.",
                field="api_key_env",
                hint=f"Set {tier.api_key_env}, or remove api_key_env from the file.",
            )
        made["VLLM_API_KEY"] = key
    return {**made, **tier.env}


def as_tier(tier: ServedTier, *, patience_s: float = 30.0) -> Tier:
    """Return the tier that the checks talk to; ``patience_s`` bounds one check."""
    host = "127.0.0.1" if tier.host in {"0.0.0.0", "::"} else tier.host  # noqa: S104
    return Tier(
        name=tier.name,
        model=tier.name,
        base_url=f"http://{host}:{tier.port}/v1",
        api_key_env=tier.api_key_env,
        timeouts=Timeouts(
            connect_s=2.0,
            first_byte_s=patience_s,
            between_chunks_s=patience_s,
            total_s=patience_s,
        ),
    )


def command_lines(file: ServingFile) -> list[str]:
    """Return what would be run, one shell line per server, without keys.

    Raises:
        InvalidInput: vLLM is not there.
    """
    start = launcher(file)
    return [shlex.join([*start, *arguments(tier)]) for tier in file.tier]
