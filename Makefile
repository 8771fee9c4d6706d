# Braze session collector. `make` lists the targets. Each target installs what it needs into .venv first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config/collector.yaml
ARGS   ?=
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo collect plan validate simulate test test-lakes soak fuzz bench bench-memory bench-width bench-age check lock wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  CONFIG=FILE sets the config file (default: $(CONFIG))'
	@echo '  ARGS="…" passes options on: make plan ARGS="--json"'

setup: $(VENV)/installed ## Install the collector into .venv; EXTRA='[sql]' adds an extra

demo: $(VENV)/installed-sql ## See it work: a simulated API, two nights, and queries
	@$(BIN)/python scripts/demo.py

collect: $(VENV)/installed ## The nightly job: collect what the lake lacks
	@$(BIN)/collector --config $(CONFIG) run $(ARGS)

plan: $(VENV)/installed ## Show what a run requests and what it costs; send nothing
	@$(BIN)/collector --config $(CONFIG) plan $(ARGS)

validate: $(VENV)/installed ## Check CONFIG and report all mistakes
	@$(BIN)/collector --config $(CONFIG) validate $(ARGS)

simulate: $(VENV)/installed ## Serve a simulated API for the workspaces of CONFIG
	@$(BIN)/collector --config $(CONFIG) simulate $(ARGS)

test: $(VENV)/installed-dev ## Run the tests
	@$(BIN)/python -m pytest -m 'not lakes' -n 4 --dist worksteal --ignore tests/simulation \
	  --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/simulation

test-lakes: $(VENV)/installed-lakes ## Run the tests of other object stores and of Spark
	@scripts/test-servers.sh $(VENV)
	@$(BIN)/python -m pytest -m lakes --numprocesses 2 -rs $(ARGS)

soak: $(VENV)/installed-dev ## Kill runs, send late replies, simulate months: KILLS=200 SERVERS=50 SEEDS=2000, half an hour
	@$(BIN)/python scripts/soak.py --kills $(or $(KILLS),200) --servers $(or $(SERVERS),50) --seeds $(or $(SEEDS),2000)

fuzz: $(VENV)/installed-fuzz ## Fuzz replies, headers and configs, SECONDS=60 each
	@$(BIN)/python scripts/fuzz.py --seconds $(or $(SECONDS),60) $(ARGS)

bench: $(VENV)/installed ## Measure requests a second, beside other tools
	@$(BIN)/python -m scripts.bench throughput $(ARGS)

bench-memory: $(VENV)/installed ## Measure the memory of runs of 2.5 and 25 million rows
	@$(BIN)/python -m scripts.bench memory $(ARGS)

bench-width: $(VENV)/installed ## Measure 1, 100 and 1,000 workspaces under 1,024 open files
	@$(BIN)/python -m scripts.bench width $(ARGS)

bench-age: $(VENV)/installed ## Measure thirty nights of restatements
	@$(BIN)/python -m scripts.bench age $(ARGS)

check: $(VENV)/installed-dev ## Check lint, formatting, types and import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lock: $(VENV)/installed-dev ## Update constraints.txt to the newest versions that fit
	@scripts/lock.sh $(PYTHON)

wheel: $(BIN)/python ## Build a wheel into dist/, to install without this checkout
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## Remove everything that the targets installed or wrote
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* demo-lake .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp file for each set of dependencies that is installed: those of collecting alone, and with an extra of pyproject.toml.
$(VENV)/installed: EXTRA :=
$(VENV)/installed-sql: EXTRA := [sql]
$(VENV)/installed-dev: EXTRA := [dev]
$(VENV)/installed-lakes: EXTRA := [lakes]
$(VENV)/installed-fuzz: EXTRA := [fuzz]
$(VENV)/installed $(VENV)/installed-sql $(VENV)/installed-dev $(VENV)/installed-lakes $(VENV)/installed-fuzz: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing the collector$(EXTRA) into $(VENV) …'
	@$(INSTALL) --editable '.$(EXTRA)'
	@touch $@

# A given EXTRA has no stamp of its own, so `make setup EXTRA='[objects]'` installs each time.
ifeq ($(origin EXTRA),command line)
.PHONY: $(VENV)/installed
endif

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed. Set its path: make PYTHON=python3.11 …'; exit 1; }
	@$(PYTHON) -m venv $(VENV)
