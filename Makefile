# `make quick` and `make test` set up what they need; a second call does not install again.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help quick test test-slow check format benchmark clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 \t/p' Makefile

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(VENV)/.installed  ## a virtual environment with everything

quick: setup  ## run suites/quick.yaml on embedded data, print the table and the page's path
	$(BIN)/robench run suites/quick.yaml --results results/quick
	$(BIN)/robench board results/quick --out results/quick/board

test: setup  ## the tests, without the slow ones, on all cores
	$(PYTEST) --numprocesses logical --dist worksteal

test-slow: setup  ## the slow tests alone
	$(PYTEST) -m slow

check: setup  ## lint, format and types, as pre-commit does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## bring the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: setup  ## the timed figures against named peers, by hand
	$(BIN)/python -m tests.benchmarks

clean:  ## remove the virtual environment and caches, never results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
