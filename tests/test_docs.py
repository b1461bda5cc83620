"""The documentation says what the code does: names, variables, routes, links, container files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from collab_core import events as ev
from collab_core.backends.serving import ServedTier, arguments
from collab_core.benchmarks.grading import SCORERS
from collab_core.benchmarks.registry import BENCHMARKS
from collab_core.strategies.registry import STRATEGIES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
# read by uvicorn itself, not by our settings
FOREIGN = {"FORWARDED_ALLOW_IPS"}
ENV_READERS = {"env_str", "env_bool", "env_number", "env_int", "env_list"}


def _text(name: str) -> str:
    return (ROOT / name).read_text()


# --- events -------------------------------------------------------------------------------------
def _documented_events() -> dict[str, list[str]]:
    """Return the fields of each event's table in docs/events.md, in order."""
    parts = re.split(r"^### `([a-z.]+)`$", _text("docs/events.md"), flags=re.MULTILINE)
    tables = zip(parts[1::2], parts[2::2], strict=True)
    return {
        name: re.findall(r"^\| `(\w+)` \|", body.split("\n## ")[0], flags=re.MULTILINE)
        for name, body in tables
    }


def test_every_event_is_documented_with_all_its_fields() -> None:
    known = {name: list(cls.__struct_fields__) for name, cls in ev.EVENT_TYPES.items()}
    known["model.delta"] = list(ev.ModelDelta.__struct_fields__)
    assert _documented_events() == known


# --- settings -----------------------------------------------------------------------------------
def _settings_variables() -> set[str]:
    """Return the names that webapp/settings.py reads from the environment."""
    tree = ast.parse(_text("webapp/settings.py"))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ENV_READERS
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def _compose_variables() -> set[str]:
    text = _text("docker/compose.yaml") + _text("docker/compose.gpu.yaml")
    return set(re.findall(r"\$\{(\w+)", text))


def _example_variables() -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", _text("docker/.env.example"), re.MULTILINE))


def test_the_example_environment_names_exactly_the_variables_that_are_read() -> None:
    assert _settings_variables() >= {"SECRET_KEY", "TANDEM_LEASE_S"}
    assert _example_variables() == _settings_variables() | _compose_variables() | FOREIGN


def test_every_variable_of_the_example_has_a_comment() -> None:
    lines = _text("docker/.env.example").splitlines()
    section = False  # whether the variable belongs to a commented group
    for line in lines:
        if re.match(r"#?[A-Z][A-Z0-9_]*=", line):
            assert section, f"{line} has no comment above it"
        else:
            section = line.startswith("#")


def test_the_configuration_page_names_exactly_the_variables_that_are_read() -> None:
    table = set(re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|", _text("docs/configuration.md"), re.M))
    assert table == _settings_variables()
    mentioned = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", _text("docs/configuration.md")))
    assert mentioned - {"NAME", "NAME_FILE", "INFO", "WARNING"} == _example_variables()


# --- links and paths ----------------------------------------------------------------------------
def _links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        targets = re.findall(r"\]\(([^)\s]+)\)", text)
        targets += re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)
        yield from ((page, target) for target in targets)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub and others make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_local_link_leads_somewhere() -> None:
    links = list(_links())
    assert len(links) > 50
    for page, target in links:
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.relative_to(ROOT)}: no heading for {target}"


def test_every_page_can_be_reached_from_the_index() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page, target in _links()
        if not target.startswith("http")
    }
    lost = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - linked
    assert lost <= {DOCS / "index.md"}


PATH_IN_TEXT = re.compile(
    r"`((?:collab_core|webapp|templates|static|docker|docs|tests|benchmarks|scripts)/[\w./-]+)`"
)


def test_every_file_that_a_page_names_exists() -> None:
    for page in PAGES:
        for name in PATH_IN_TEXT.findall(page.read_text()):
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


def test_every_strategy_is_in_the_concepts_and_has_its_page() -> None:
    concepts = _text("docs/concepts.md")
    for strategy in STRATEGIES.values():
        assert f"[`{strategy.name}`](strategies/{strategy.doc})" in concepts


# --- REST and the command line ------------------------------------------------------------------
def test_the_rest_page_lists_exactly_the_routes_of_the_schema() -> None:
    from webapp.api.v1 import api

    routes = {
        (method.upper(), path)
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method in methods
    }
    documented = re.findall(r"^\| `([A-Z]+) (/api/v1/\S+)` \|", _text("docs/rest.md"), re.M)
    assert set(documented) == routes


def test_the_sockets_close_codes_are_those_of_the_consumer() -> None:
    from webapp.runs import guarded

    codes = {
        guarded.NOT_SIGNED_IN,
        guarded.NOT_FOUND,
        guarded.MEMBERSHIP_ENDED,
        guarded.OVERLOAD,
    }
    assert {
        int(c) for c in re.findall(r"^\| (\d{4}) \|", _text("docs/live-view.md"), re.M)
    } == codes


def test_the_command_line_page_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    from collab_core.cli import main

    page = _text("docs/cli.md")
    for command in ("run", "make-world", "index", "simulate-tiers"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        for option in re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE):
            assert option in page, f"docs/cli.md does not explain {option} of {command}"


def test_every_management_command_on_a_page_exists() -> None:
    commands = {path.stem for path in ROOT.glob("webapp/*/management/commands/[a-z]*.py")}
    django = {"migrate", "collectstatic", "createsuperuser", "changepassword", "check"}
    named = {
        name for page in PAGES for name in re.findall(r"manage\.py ([a-z_]+)", page.read_text())
    }
    assert named >= {"seed", "issue_token"}
    assert named <= commands | django


# --- containers ---------------------------------------------------------------------------------
def test_the_gpu_tiers_get_the_flags_of_serve_tiers() -> None:
    services = yaml.safe_load(_text("docker/compose.gpu.yaml"))["services"]
    served = ServedTier(name="small", model="m", port=8000, host="0.0.0.0", max_model_len=32_768)
    wanted = {flag for flag in arguments(served) if flag.startswith("--")} | {"--model"}
    for service in services.values():
        assert {flag.partition("=")[0] for flag in service["command"]} == wanted


def test_every_service_of_ours_waits_for_the_migration_and_says_how_it_is() -> None:
    services = yaml.safe_load(_text("docker/compose.yaml"))["services"]
    for name in ("web", "worker", "scheduler"):
        after = services[name]["depends_on"]["migrate"]["condition"]
        assert after == "service_completed_successfully"
    # the web service's check is the image's own
    assert "healthcheck.py" in _text("docker/Dockerfile")
    for name in ("worker", "scheduler", "db", "redis", "simulated-tiers"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_the_image_gets_every_folder_that_it_copies() -> None:
    allowed = set(re.findall(r"^!(\S+)", _text("docker/Dockerfile.dockerignore"), re.MULTILINE))
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--)(.+)$", _text("docker/Dockerfile"), re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_images_build_step_collects_the_static_files(tmp_path: Path) -> None:
    """A circle of imports between modules, or a missing file, breaks hashing: and so the image."""
    environ = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path / "data"),
        "STATIC_ROOT": str(tmp_path / "static"),
        "TANDEM_STATIC_HASHED": "1",
    }
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = json.loads((tmp_path / "static" / "staticfiles.json").read_text())["paths"]
    run = (tmp_path / "static" / manifest["ui/js/run.js"]).read_text()
    assert re.findall(r'from "\./model\.[0-9a-f]{12}\.js"', run)


def test_every_benchmark_and_every_grader_has_its_row() -> None:
    page = _text("docs/benchmarks.md")
    for benchmark in BENCHMARKS.values():
        row = re.search(rf"^\| `{benchmark.name}` \|.*\| `(\w+)` \|$", page, re.M)
        assert row is not None, benchmark.name
        assert row[1] == benchmark.scorer
        assert benchmark.splits[benchmark.default_split][0] in row[0]
    graders = re.findall(r"^\| `(\w+)` \|", page.partition("## The graders")[2], re.M)
    assert graders == list(SCORERS)
