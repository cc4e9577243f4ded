# make demo | make test | make test-kill | make demo-models; `make help` lists all.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1

# of the tests: so many files at once, one more than cores, as some wait for a queue
BESIDE = --numprocesses $(or $(CORES),$(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# of test-kill: how many, and from which seed they are drawn
KILLS ?= 30
SEED ?= 0

.PHONY: help demo test coverage test-kill fuzz demo-models lint docs env lock

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

# The environment is complete when its stamp is newer than the lock.
.venv/.complete: envs/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "neural-recon needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

env: .venv/.complete ## set up .venv with exact versions

demo: env ## run the whole workflow on two simulated subjects
	$(BIN)/neural-recon demo $(if $(CORES),--cores $(CORES))

test: env ## run the tests, several files at once
	$(BIN)/python -m pytest $(BESIDE)

coverage: env ## the same, and which lines of the package they ran, those of the workflow's jobs included
	$(BIN)/python -m pytest $(BESIDE) --cov --cov-report term-missing:skip-covered

test-kill: env ## kill runs at random points (KILLS=30 SEED=0) and compare what the next runs end with
	$(BIN)/python tests/helpers/kills.py --kills $(KILLS) --seed $(SEED)

fuzz: env ## read 10,000 broken files of every kind; minutes
	$(BIN)/python tests/helpers/fuzz_readers.py --cases 10000 --seed 0

lock: ## exact versions anew, and their known vulnerabilities (docs/dependencies.md)
	$(PYTHON) envs/lock.py

lint: env ## formats and static checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: env ## build the documentation into docs/_build/html; what Sphinx warns of is an error
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet --fresh-env docs docs/_build/html
	@echo "Open the documentation in a browser: $(CURDIR)/docs/_build/html/index.html"

demo-models: env ## train the demo's models again (hours on a CPU, resumable)
	$(BIN)/python -m neural_recon.demo.training
