# Two commands do everything: `make run` and `make test`. Both set up .venv first, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PATHS := common churn embedded serving uc1_churn_prediction uc2_ab_testing uc3_drift_retraining uc4_data_lineage \
         uc5_fairness_docs uc6_gitops_deployment run_all.py tests benchmarks docs

.PHONY: run test check test-deep bench clean
.DEFAULT_GOAL := help

help:
	@echo "make run        set up, start the embedded platform, run every use case, show where to look"
	@echo "make test       set up and run the tests (about 12 minutes on 2 cores)"
	@echo "make check      style, types, who imports whom, rules of our own, the reference"
	@echo "make test-deep  the long sweeps: processes killed at many points"
	@echo "make bench      measure ingest, serving, drift and the fairness page beside their yardsticks"
	@echo "make clean      stop the platform and remove what these commands made"

run: .venv/.for-running
	@$(BIN)/python run_all.py

test: .venv/.for-developing
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not deep"

test-deep: .venv/.for-developing
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m deep

check: .venv/.for-developing
	@$(BIN)/ruff check $(PATHS)
	@$(BIN)/ruff format --check --quiet $(PATHS)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.static_rules
	@$(BIN)/python docs/generate.py --check

bench: .venv/.for-developing
	@$(BIN)/python benchmarks/ingest.py
	@$(BIN)/python benchmarks/serving.py
	@$(BIN)/python benchmarks/drift.py
	@$(BIN)/python benchmarks/fairness_page.py

clean:
	@test ! -e .venv/.for-running || $(BIN)/python -m embedded reset --yes
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Bytecode is compiled at once, on all cores: libraries this large import 2 to 4 times slower without it.
.venv/.for-running: requirements.txt requirements.lock pyproject.toml | .venv/.made
	@echo "Installing the locked requirements into .venv (some minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	@$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null 2>&1 || true
	@touch $@

.venv/.for-developing: requirements-dev.txt .venv/.for-running
	@echo "Installing what tests and checks need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The stamp comes last: an environment that was killed half-way is made again.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "This project needs Python 3.11; give its path: make run PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@touch $@
