from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

PACKAGE = Path(__file__).parents[3] / "tests/fakes/vllm_package"


def write(folder: Path, text: str) -> str:
    path = folder / "tiers.toml"
    path.write_text(text)
    return str(path)


def test_a_dry_run_prints_the_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    text = f'python = "{sys.executable}"\n[[tier]]\nname = "small"\nmodel = "m"\nport = 8101\n'
    path = write(tmp_path, text)
    out = StringIO()
    call_command("serve_tiers", path, "--dry-run", stdout=out)
    assert "-m vllm.entrypoints.openai.api_server --model m" in out.getvalue()
    assert "--served-model-name small" in out.getvalue()


def test_a_bad_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="port"):
        call_command("serve_tiers", write(tmp_path, '[[tier]]\nname = "a"\nmodel = "m"\n'))


def test_without_vllm_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    text = f'python = "{sys.executable}"\n[[tier]]\nname = "a"\nmodel = "m"\nport = 8101\n'
    with pytest.raises(CommandError, match="pip install vllm"):
        call_command("serve_tiers", write(tmp_path, text))
