# What a user needs: `make run`. What a developer needs: `make test`, `make check`.
# PORT=, DATA_DIR= and every variable of docker/.env.example are handed on.

SHELL := /bin/bash
PY := .venv/bin/python
BENCHMARKS ?= engine_floor streaming engine journal dispatch sockets pages browser strategies
PYTEST_OPTIONS ?= -n 2 --dist loadfile

.PHONY: run test check bench test-vllm screenshots install install-dev install-services clean

run: install
	@exec $(PY) manage.py tandem --with-parent

install:
	@scripts/install.sh requirements.txt

install-dev:
	@scripts/install.sh requirements-dev.txt

install-services:
	@scripts/install-services.sh

test: install-dev install-services
	$(PY) -m pytest $(PYTEST_OPTIONS)

check: install-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: install-dev install-services
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(PY) -m benchmarks.$$name; done

test-vllm: install-dev
	tests/vllm/run.sh

screenshots: install-dev install-services
	$(PY) -m scripts.screenshots

clean:
	rm -rf .venv staticfiles test-artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
