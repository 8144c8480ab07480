# Two commands: `make demo` shows what Nezha does, `make test` shows that it does it.
# Nothing is needed but Linux, make and Python 3.11 or newer: PYTHON names one; each command installs what it needs into .venv.

PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --use-pep517
CHECKED := $(wildcard nezha tests benchmarks charts/*.py docs/*.py image/*.py) setup.py
# A file's tests in one process, in the order of their names: what a file makes is made once, and the last are quick.
# They write some 15 GB, of which 0.3 are there at a time: to memory where it has room, for a disk is waited for.
SCRATCH := $(shell test "$$(df --output=avail -Bm /dev/shm 2>/dev/null | tail -1 | tr -dc 0-9)" -ge 2000 2>/dev/null && echo TMPDIR=/dev/shm)
SPREAD := --numprocesses auto --dist loadfile --no-loadscope-reorder
BENCHES := $(patsubst benchmarks/%.py,benchmarks.%,$(wildcard benchmarks/bench_*.py))

# Each of the many processes that tests start would compile Nezha anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-real test-cluster soak chart lint format docs image bench clean .venv
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^\([a-z-]*\):.* ## /make \1	/p' Makefile | expand -t 16

demo: .venv/.nezha ## one object read directly, cold and warm through Nezha
	@$(BIN)/nezha demo

test: .venv/.test ## every test that needs nothing but PyPI
	$(SCRATCH) $(BIN)/pytest tests --ignore=tests/real --ignore=tests/cluster $$($(BIN)/python tests/pure_coverage.py --others) $(SPREAD)
	$(BIN)/python tests/pure_coverage.py

test-real: .venv/.test ## the tests against real servers and SDKs, which are installed first
	tests/real/install.sh
	$(BIN)/pytest tests/real $(SPREAD)

test-cluster: .venv/.test ## the tests in a real Kubernetes: that of KUBECONFIG, else one that is started here
	tests/real/install.sh image
	$(BIN)/pytest tests/cluster

soak: .venv/.test ## the random model at length; STEPS=200000 and SEED=N choose
	$(BIN)/python -m tests.soak $(STEPS:%=--steps %) $(SEED:%=--seed %)

chart: .venv/.test ## the chart: its values, and every variant linted, rendered and held against Kubernetes' schemas
	tests/real/install.sh chart
	$(BIN)/pytest tests/chart tests/real/test_chart.py

lint: .venv/.lint ## ruff, mypy, import-linter
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports

format: .venv/.lint ## rewrite the sources as lint wants them
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

docs: .venv/.nezha ## rewrite the pages that are made from the code
	$(BIN)/python docs/reference.py
	$(BIN)/python -m charts.readme

image: ## the container image nezha:VERSION, by docker, buildah or podman
	image/build.sh $(IMAGE)

bench: .venv/.test ## the questions of benchmarks/, one after the other
	@set -e; for bench in $(BENCHES); do $(BIN)/python -m $$bench; done

clean: ## remove what was installed and built
	rm -rf .venv build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# One virtual environment; a stamp in it for each set of packages.
.venv: .venv/.nezha
	@:
.venv/.test: EXTRAS := [test]
.venv/.lint: EXTRAS := [test,lint]
.venv/.nezha .venv/.test .venv/.lint: setup.cfg setup.py | $(BIN)/python
	@echo "Installing nezha$(EXTRAS) into .venv"
	@$(PIP_INSTALL) --editable '.$(EXTRAS)'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Nezha needs Python 3.11 or newer, not $(PYTHON) ($$($(PYTHON) --version 2>&1)): make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }
