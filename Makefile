# Braze session collector. `make` lists what there is; each target installs what it needs into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config/collector.yaml
ARGS   ?=
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo collect plan validate simulate test test-lakes soak fuzz bench bench-memory check lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  CONFIG=FILE names the config (default: $(CONFIG)), ARGS="…" adds options, as in make plan ARGS="--json"'

setup: $(VENV)/collects ## Install the collector into .venv

demo: $(VENV)/queries ## See it work: a stand-in API, two nights, queries over the Parquet
	@$(BIN)/python scripts/demo.py

collect: $(VENV)/collects ## The nightly job: make the lake converge to CONFIG
	@$(BIN)/collector --config $(CONFIG) run $(ARGS)

plan: $(VENV)/collects ## What a run would ask for, and what it costs
	@$(BIN)/collector --config $(CONFIG) plan $(ARGS)

validate: $(VENV)/collects ## Check CONFIG alone
	@$(BIN)/collector --config $(CONFIG) validate $(ARGS)

simulate: $(VENV)/collects ## Serve the stand-in API for CONFIG's workspaces
	@$(BIN)/collector --config $(CONFIG) simulate $(ARGS)

test: $(VENV)/develops ## Run the tests
	@$(BIN)/python -m pytest -m 'not lakes' -n 4 --dist worksteal --ignore tests/simulation \
	  --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/simulation

test-lakes: $(VENV)/lakes ## Run the tests of stores beside folders and S3, with every server that can be had
	@scripts/test-servers.sh $(VENV)
	@$(BIN)/python -m pytest -m lakes --numprocesses 2 -rs $(ARGS)

soak: $(VENV)/develops ## Kill KILLS runs and simulate SEEDS months (200 and 2000: half an hour on two cores; KILLS=50 SEEDS=100: three minutes)
	@$(BIN)/python scripts/soak.py --kills $(or $(KILLS),200) --seeds $(or $(SEEDS),2000)

fuzz: $(VENV)/fuzzes ## Fuzz what servers and config files may say, SECONDS for each target (60); keep what reaches something new
	@$(BIN)/python scripts/fuzz.py --seconds $(or $(SECONDS),60) $(ARGS)

bench: $(VENV)/collects ## Requests a second beside the bare client loop and other tools
	@$(BIN)/python -m scripts.bench throughput $(ARGS)

bench-memory: $(VENV)/collects ## Memory of runs of 2.5 and 25 million rows
	@$(BIN)/python -m scripts.bench memory $(ARGS)

check: $(VENV)/develops ## Lint, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lock: $(VENV)/develops ## Renew constraints.txt to the newest versions that fit
	@scripts/lock.sh $(PYTHON)

clean: ## Remove .venv, caches, the demo's lake and what the bench made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* demo-lake .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Five ways to install, each a stamp: to collect, to query the lake as well, to develop, to test every lake and engine, to
# fuzz.
$(VENV)/collects: EXTRA :=
$(VENV)/queries: EXTRA := [sql]
$(VENV)/develops: EXTRA := [dev]
$(VENV)/lakes: EXTRA := [lakes]
$(VENV)/fuzzes: EXTRA := [fuzz]
$(VENV)/collects $(VENV)/queries $(VENV)/develops $(VENV)/lakes $(VENV)/fuzzes: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing into $(VENV) ($(notdir $@)) …'
	@$(INSTALL) --editable '.$(EXTRA)'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 …'; exit 1; }
	@$(PYTHON) -m venv $(VENV)
