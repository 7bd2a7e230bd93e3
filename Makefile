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

debian-test-tools:
	@tests/debian_tools.sh

format: $(STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

generated: $(STAMP) ## write the generated files anew (tables in docs/, the dashboards)
	$(BIN)/python -m tests.generated

lock: $(STAMP) ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade -o requirements.lock

dist: $(STAMP) ## dist/ with all that a site server needs: wheel, locked dependencies, unit (docs/install.md)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/pip download --quiet --require-hashes --only-binary :all: --dest dist/wheels -r requirements.lock
	cp -R systemd dist/

clean: ## remove what make made
	rm -rf $(VENV) demo-out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist

.PHONY: help setup demo test test-promises debian-test-tools format generated lock dist clean
