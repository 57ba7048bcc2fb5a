# Each target works alone on a fresh clone: it makes .venv, installs what constraints.txt pins, and runs.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: $(INSTALLED) ## track a rendered scene with the bundled model; pictures and results go to demo/
	$(BIN)/tectum demo --out demo

test: lint ## lint, types, room contracts and the tests that take seconds
	$(BIN)/python -m pytest

test-all: lint ## the same with the slow tests
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(READY) ## lint, format check, types and room contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## mend what the linter can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	  f"Tectum needs Python 3.11 or newer, but $(PYTHON) is {v[0]}.{v[1]}: run make with PYTHON=python3.11.")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e .
	@touch $@

$(READY): $(INSTALLED) tests/peers.txt
	$(PIP) -c constraints.txt -e '.[train,cluster,dev]'
	$(PIP) --no-deps -r tests/peers.txt
	@touch $@
