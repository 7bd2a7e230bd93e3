# Every target sets itself up; nothing has to be installed by hand first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(STAMP) ## the project's own Python environment in .venv, from the lock

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (this is $$($(PYTHON) --version)); set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (about a minute)"
	$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## the main job on a simulated fleet; ONCE=1 runs it without a terminal and checks itself
	@$(BIN)/latarnik demo $(if $(ONCE),--once,)

test: $(STAMP) debian-test-tools ## everything that must hold before a commit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.generated --check
	$(BIN)/pytest -n 4 --dist loadfile

test-promises: $(STAMP) debian-test-tools ## the tests of the ten promises, as a table; LONG=1 tries each much oftener and writes docs/promises.md
	$(if $(LONG),LATARNIK_LONG=1 )$(BIN)/pytest -m promise -n 2 --dist loadfile --promises $(if $(LONG),--timeout 3600 --promises-page docs/promises.md)

fresh: ## the README's two commands and docs/install.md in a bare Debian 12 with nothing of ours in it, timed (needs root, debootstrap)
	@tests/fresh.sh

bench: $(STAMP) ## how fast it is: all benchmarks (25 minutes, on a quiet machine); writes the figures of bench/README.md
	@bench/setup.sh
	@$(BIN)/python -m bench

test-bench: $(STAMP) ## each benchmark in its smallest form: that they run and that their checks hold
	@bench/setup.sh
	@$(BIN)/python -m bench --smallest

debian-test-tools:
	@tests/debian_tools.sh
	@bench/setup.sh

format: $(STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

generated: $(STAMP) ## write the generated files anew (tables in docs/, the dashboards)
	$(BIN)/python -m tests.generated

lock: $(STAMP) ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade -o requirements.lock

dist: $(STAMP) ## dist/ with all that a site server needs: wheel, locked dependencies, unit, checksums (docs/install.md)
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/pip download --quiet --require-hashes --only-binary :all: --dest dist/locked -r requirements.lock
	$(BIN)/pip download --quiet --no-index --find-links dist/locked --only-binary :all: --dest dist/wheels dist/*.whl
	rm -rf dist/locked dist/wheels/latarnik-*
	cp -R systemd dist/
	cd dist && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS

clean: ## remove what make made
	rm -rf $(VENV) demo-out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist

.PHONY: help setup demo test test-promises test-bench bench fresh debian-test-tools format generated lock dist clean
