# Everything a developer or CI runs. `make help` explains it; docs/development.md tells the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# Processes of pytest-xdist: one more than there are cores, because tests on a cluster wait half of their time.
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))
PYTEST_ARGS ?=
IMAGE ?= gpucost:dev

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# The environment is made anew when what it is made from changes.
STAMP := $(VENV)/.made-from-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
export PYTHONPATH := $(CURDIR)/tools
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/$(BIN):$(PATH)

# Bold on a terminal only.
ifneq ($(and $(MAKE_TERMOUT),$(if $(NO_COLOR),,1)),)
BOLD := \033[1m
PLAIN := \033[0m
endif
SAY = @printf '$(BOLD)==> %s$(PLAIN)\n'

.PHONY: help
help:  ## Explain every target
	@echo "gpucost: targets (CLUSTER=local|kind|existing chooses the cluster of demo and cluster-up)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  $(BOLD)%-15s$(PLAIN) %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up

.PHONY: check-python
check-python:
	@command -v $(PYTHON) >/dev/null || { echo "make: Python >= 3.11 is needed, and $(PYTHON) is not on PATH (or set PYTHON=)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python >= 3.11 is needed; $(PYTHON) is $$($(PYTHON) --version) (set PYTHON=python3.12, say)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: this Python cannot make environments: install python3-venv" >&2; exit 2; }
	@command -v git >/dev/null || { echo "make: git is needed" >&2; exit 2; }

$(STAMP): | check-python
	$(SAY) "virtual environment in $(VENV)"
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable .
	@rm -f $(VENV)/.made-from-*
	@touch $@

.PHONY: venv
venv: $(STAMP)  ## Make the virtual environment (Python >= 3.11)

.PHONY: tools
tools: check-python  ## Provide the Go programs: from PATH, from the user's cache, else built (Go >= 1.26, 25 minutes once)
	$(SAY) "programs"
	@$(PYTHON) tools/build.py

# --- checks

.PHONY: lint
lint: $(STAMP)  ## Format, style, types, layers, and whether generated files are fresh
	$(SAY) "ruff"
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	$(SAY) "mypy"
	@$(BIN)/mypy --no-error-summary
	$(SAY) "layers"
	@$(BIN)/lint-imports >/tmp/gpucost-layers.$$$$ 2>&1 || { cat /tmp/gpucost-layers.$$$$; rm -f /tmp/gpucost-layers.$$$$; exit 1; }; rm -f /tmp/gpucost-layers.$$$$
	$(SAY) "generated files"
	@$(PY) tools/gen_api.py --check

.PHONY: test
test: tools lint  ## Everything: programs, lint, and all tests on a real control plane
	$(SAY) "tests"
	@$(BIN)/pytest -q -n $(WORKERS) --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

.PHONY: test-unit
test-unit: $(STAMP)  ## The tests that need no cluster
	@$(BIN)/pytest -q -n $(WORKERS) --maxprocesses 4 -m 'not cluster' $(PYTEST_ARGS)

FRAMEWORKS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gpucost/frameworks
.PHONY: test-frameworks
test-frameworks: $(STAMP)  ## Real trainings with Hugging Face, Lightning and XGBoost; makes an environment of 6 GB once
	$(SAY) "environment in $(FRAMEWORKS)"
	@[ -x $(FRAMEWORKS)/bin/python ] || $(PYTHON) -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/frameworks/requirements.txt
	$(SAY) "trainings"
	@GPUCOST_FRAMEWORKS_PYTHON=$(FRAMEWORKS)/bin/python $(BIN)/pytest -q tests/frameworks $(PYTEST_ARGS)

.PHONY: bench
bench: tools $(STAMP)  ## Measure reaction time, CPU and memory on a real control plane, and print the figures
	$(SAY) "benches"
	@$(PY) -m bench $(BENCH_ARGS)

# --- running it

.PHONY: demo
demo: tools $(STAMP)  ## The main job on a real control plane with simulated GPU nodes, in about four minutes
	@$(PY) -m demo $(DEMO_ARGS)

.PHONY: picture
picture: tools $(STAMP)  ## Draw the README's picture from a run of the demo
	@$(PY) -m demo --picture docs/images/demo.svg

.PHONY: cluster-up
cluster-up: tools $(STAMP)  ## Start a cluster to play with: Karpenter, Prometheus, simulated GPU nodes
	$(SAY) "cluster"
	@$(PY) -m local up

.PHONY: cluster-down
cluster-down: $(STAMP)  ## Stop it, and leave nothing behind
	@$(PY) -m local down

# --- products

.PHONY: crds
crds: $(STAMP)  ## Write crds/, the chart's copies, its values schema and docs/reference from the models
	@$(PY) tools/gen_api.py

.PHONY: chart
chart: tools $(STAMP)  ## Check the Helm chart and package it into dist/
	$(SAY) "chart"
	@$(PY) tools/gen_api.py --check
	@helm lint --strict charts/gpucost
	@helm package charts/gpucost --destination dist

.PHONY: image
image:  ## Build the container image (docker or podman); IMAGE=name:tag
	@builder=$$(command -v docker || command -v podman) || { echo "make: image needs docker or podman on PATH" >&2; exit 2; }; "$$builder" build --tag $(IMAGE) .

# --- tidying

.PHONY: clean
clean:  ## Remove the environment, caches, links to the programs, and packages
	@rm -rf $(VENV) .tools dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find operator tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-tools
clean-tools: check-python  ## Remove the built programs from the user's cache
	@$(PYTHON) tools/build.py --clean
