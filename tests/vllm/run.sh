#!/usr/bin/env bash
# The backend's contract against a real vLLM on the CPU: make test-vllm.
# Makes .venv-vllm (3.5 GB, once), two tiny random models, two servers; runs tests/vllm; stops all.
#   run.sh --install-only   stop after the environment and the models
#   run.sh [pytest options]
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.venv-vllm
python=${PYTHON311:-python3.11}
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1

install() {
    command -v "$python" >/dev/null || {
        echo "make test-vllm needs Python 3.11 (the CPU build of torch it uses is for that version)." >&2
        echo "Install it, or say where it is: PYTHON311=/path/to/python3.11 make test-vllm" >&2
        exit 1
    }
    echo "Installing vLLM for the CPU into $venv (about 3.5 GB, some minutes) ..."
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --upgrade pip
    "$venv/bin/pip" install --quiet -r requirements-vllm.txt
    # pip brings them along built for CUDA; importing transformers fails on them without a GPU
    "$venv/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
    cp requirements-vllm.txt "$venv/installed.txt"
}

cmp --silent requirements-vllm.txt "$venv/installed.txt" || install
for size in small large; do
    [ -s "$venv/models/$size/model.safetensors" ] ||
        "$venv/bin/python" tests/vllm/make_model.py "$venv/models/$size" --size "$size"
done
[ "${1:-}" = --install-only ] && exit 0

command -v g++ >/dev/null || {
    echo "vLLM on the CPU compiles a kernel at its first log-probabilities and needs g++." >&2
    echo "Install it: sudo apt-get install g++" >&2
    exit 1
}
TANDEM_VLLM_VENV="$PWD/$venv" exec .venv/bin/python -m pytest tests/vllm -m vllm -v --timeout 900 "$@"
