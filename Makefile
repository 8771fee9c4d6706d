# Braze session collector. `make` lists the targets. Each target installs what it needs into .venv first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= $(or $(COLLECTOR_CONFIG),config/collector.yaml)
ARGS   ?=
EXTRA  ?=
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

# To the recipes' environment, where quotes keep a path with spaces together, whatever it contains.
export CONFIG
COLLECTOR := $(BIN)/collector --config "$$CONFIG"

# make itself ends with 2 whatever the program's exit code is, so the last line of `make collect` says which one it was.
# make sends a SIGTERM to the shell alone, which passes it on and waits for what the program lands. One that comes before
# the shell knows the program's pid is passed on as soon as it does.
define say_exit_code
pid=; stop=; trap 'stop=1; test -z "$$pid" || kill -TERM $$pid' TERM; trap : INT; \
$(1) & pid=$$!; \
test -z "$$stop" || kill -TERM $$pid; \
wait $$pid; code=$$?; \
while kill -0 $$pid 2>/dev/null; do wait $$pid; code=$$?; done; \
case $$code in \
  0) said='every planned window was answered' ;; \
  1) said='a bug in the collector' ;; \
  2) said='a mistake in the config or the command' ;; \
  3) said='some windows failed or were skipped; the others have landed' ;; \
  4) said='another run holds a workspace; the other workspaces were collected' ;; \
  5) said='the lake cannot be read or written' ;; \
  130|143) said='stopped by a signal; the answers received so far have landed' ;; \
  *) said='the program was killed' ;; \
esac; \
echo "exit code $$code: $$said" >&2; exit $$code
endef

# The extras that are named, as `[sql,objects]` or `sql objects`, and those that are installed already.
COMMA := ,
NAMED := $(subst $(COMMA), ,$(subst [, ,$(subst ], ,$(EXTRA))))
SETUP := $(sort $(VENV)/installed $(addprefix $(VENV)/installed-,$(NAMED)) $(wildcard $(VENV)/installed-*))

.DEFAULT_GOAL := help
.PHONY: help setup demo collect plan validate simulate test test-lakes soak fuzz bench bench-memory bench-width bench-age check lock wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  CONFIG=FILE sets the config file (default: $$CONFIG)"
	@echo '  ARGS="…" passes options on: make plan ARGS="--json"'

setup: $(SETUP) ## Install the collector into .venv; EXTRA='[sql]' adds an extra

demo: $(VENV)/installed-sql ## See it work: a simulated API, two nights, and queries
	@$(BIN)/python scripts/demo.py

collect: $(VENV)/installed ## The nightly job: collect what the lake lacks
	@$(call say_exit_code,$(COLLECTOR) run $(ARGS))

plan: $(VENV)/installed ## Show what a run requests and what it costs; send nothing
	@$(COLLECTOR) plan $(ARGS)

validate: $(VENV)/installed ## Check CONFIG and report all mistakes
	@$(COLLECTOR) validate $(ARGS)

simulate: $(VENV)/installed ## Serve a simulated API for the workspaces of CONFIG
	@$(COLLECTOR) simulate $(ARGS)

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

# A stamp file for the collector alone, and one for each extra of pyproject.toml that is installed beside it. What is
# installed stays, so extras add up.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing the collector into $(VENV) …'
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@grep -q '^$* = \[' pyproject.toml || { echo 'there is no extra $*: see pyproject.toml'; exit 1; }
	@echo 'installing the collector[$*] into $(VENV) …'
	@$(INSTALL) --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed. Set its path: make PYTHON=python3.11 …'; exit 1; }
	@$(PYTHON) -m venv $(VENV)
