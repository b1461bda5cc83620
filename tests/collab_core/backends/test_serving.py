from __future__ import annotations

import sys
from pathlib import Path

import pytest

from collab_core.backends import serving
from collab_core.errors import InvalidInput

TWO = """
python = "venv/bin/python"
[[tier]]
name = "small"
model = "models/small"
port = 8101
device = "cpu"
max_model_len = 4096
extra_args = ["--enforce-eager"]
env = {OMP_NUM_THREADS = "1"}
[[tier]]
name = "large"
model = "org/large"
port = 8102
gpus = "0,1"
tool_parser = ""
reasoning_parser = "qwen3"
api_key_env = "LARGE_KEY"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tiers.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models/small").mkdir(parents=True)
    file = serving.load(write(tmp_path, TWO))
    assert file.python == str(tmp_path / "venv/bin/python")
    assert [tier.model for tier in file.tier] == [str(tmp_path / "models/small"), "org/large"]


def test_the_flags_that_every_server_gets(tmp_path: Path) -> None:
    for tier in serving.load(write(tmp_path, TWO)).tier:
        flags = serving.arguments(tier)
        assert flags[0] == tier.model
        for flag in (
            "--enable-prefix-caching", "--enable-prompt-tokens-details",
            "--enable-per-request-metrics", "--enable-request-id-headers",
        ):  # fmt: skip
            assert flag in flags
        assert flags[flags.index("--scheduling-policy") + 1] == "priority"
        assert flags[flags.index("--host") + 1] == "127.0.0.1"


def test_what_differs_between_tiers(tmp_path: Path) -> None:
    small, large = map(serving.arguments, serving.load(write(tmp_path, TWO)).tier)
    assert small[-3:] == ["--block-size", "32", "--enforce-eager"]
    assert small[small.index("--tool-call-parser") + 1] == "hermes"
    assert "--block-size" not in large
    assert "--tool-call-parser" not in large
    assert large[large.index("--reasoning-parser") + 1] == "qwen3"


def test_a_key_goes_into_the_environment_only(tmp_path: Path) -> None:
    small, large = serving.load(write(tmp_path, TWO)).tier
    environ = {"LARGE_KEY": "s3cret", "VLLM_API_KEY": "other", "PATH": "/bin"}
    assert "s3cret" not in " ".join(serving.arguments(large))
    assert serving.environment(large, environ)["VLLM_API_KEY"] == "s3cret"
    assert serving.environment(large, environ)["CUDA_VISIBLE_DEVICES"] == "0,1"
    made = serving.environment(small, environ)
    assert "VLLM_API_KEY" not in made
    assert (made["OMP_NUM_THREADS"], made["PATH"]) == ("1", "/bin")


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    large = serving.load(write(tmp_path, TWO)).tier[1]
    with pytest.raises(InvalidInput, match="LARGE_KEY, which is not set"):
        serving.environment(large, {})


BAD = {
    "no tier": ("start_timeout_s = 5", "tier: Field required"),
    "empty": ("tier = []", "tier"),
    "not TOML": ("[[tier", "tiers.toml"),
    "no port": ('[[tier]]\nname="a"\nmodel="m"', "port: Field required"),
    "port": ('[[tier]]\nname="a"\nmodel="m"\nport=70000', "port: .*65535"),
    "name": ('[[tier]]\nname="a/../b"\nmodel="m"\nport=1', "name: "),
    "typo": ('[[tier]]\nname="a"\nmodel="m"\nport=1\nmodle="x"', "modle: Extra inputs"),
    "same port": ('[[tier]]\nname="a"\nmodel="m"\nport=1\n[[tier]]\nname="b"\nmodel="m"\nport=1', "the port 1"),
    "same name": ('[[tier]]\nname="a"\nmodel="m"\nport=1\n[[tier]]\nname="a"\nmodel="m"\nport=2', "the name a"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_where(name: str, tmp_path: Path) -> None:
    text, words = BAD[name]
    with pytest.raises(InvalidInput, match=words):
        serving.load(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        serving.load(tmp_path / "nix.toml")


@pytest.mark.parametrize(
    "python", [sys.executable, "/no/such/python"], ids=["no package", "no interpreter"]
)
def test_without_vllm_the_install_line_is_told(python: str, tmp_path: Path) -> None:
    file = serving.load(write(tmp_path, TWO)).model_copy(update={"python": python})
    with pytest.raises(InvalidInput) as caught:
        serving.launcher(file)
    assert "pip install vllm" in caught.value.hint


def test_without_the_command_the_install_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = serving.load(write(tmp_path, TWO)).model_copy(update={"python": ""})
    with pytest.raises(InvalidInput, match="no `vllm` command"):
        serving.launcher(file)


def test_the_shipped_example_is_valid() -> None:
    file = serving.load(Path("docker/tiers.example.toml"))
    assert [tier.name for tier in file.tier] == ["small", "large"]
