# SPDX-License-Identifier: GPL-3.0-or-later
# `make help` lists what can be done here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB_DIR := build/lab
LAB_SERVERS ?= 2
LAB_MESSAGES ?= 0
CASES ?=
PARTS ?=
# Side by side, the longest first; all of them speak, and one that fails is enough.
LINTERS := lint-ansible lint-python lint-other
# Half of the tests wait for time-outs, disks and other processes. For the order see tests/order.py.
PYTEST_WORKERS ?= 4

# Ansible modules and the lab run with this interpreter's libraries; a locale that is not UTF-8 makes ansible-core refuse to start.
export LC_ALL := C.UTF-8
# All that is compiled is kept, whatever the caller's environment says.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-stop lab lab-packages lab-stop lab-status bench bench-packages test test-packages lint $(LINTERS) test-code format reference \
  dist matrix hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/run.stamp ## Make the Python environment (.venv) from the pinned requirements, for use with your own inventory

lab-packages:
	@.ci/packages lab

$(VENV)/run.stamp: requirements.txt
	@.ci/packages base
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say make PYTHON=/path/to/python3.11")'
	@echo "Installing Ansible and the libraries into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(VENV)/run.stamp lab-packages ## From nothing to archived mail: two Kerio doubles, site.yml three times, a summary
	@$(BIN)/python -m tests.lab.demo start

demo-stop: ## End what `make demo` started
	@$(BIN)/python -m tests.lab.demo stop

lab: $(VENV)/run.stamp lab-packages ## Start the lab alone, with LAB_MESSAGES=0; build/lab.json says how to reach it
	@$(BIN)/python -m tests.lab start --dir $(LAB_DIR) --servers $(LAB_SERVERS) --messages $(LAB_MESSAGES)

lab-status: ## Say what of the lab runs
	@$(BIN)/python -m tests.lab status --dir $(LAB_DIR)

lab-stop: ## End the lab
	@$(BIN)/python -m tests.lab stop --dir $(LAB_DIR) --remove

bench-packages:
	@.ci/packages bench

bench: $(VENV)/dev.stamp bench-packages ## Time archiving beside other archivers, roles, users, searches, many servers, CASES=""; build/bench.json
	@PYTHONPATH=collections $(BIN)/python -m tests.bench $(CASES)

test-packages:
	@.ci/packages test

lint: $(VENV)/dev.stamp test-packages ## ruff, mypy, ansible-lint, yamllint, shellcheck
	@$(MAKE) --no-print-directory --jobs 2 --keep-going --output-sync=target $(LINTERS)

lint-ansible:
	$(BIN)/ansible-lint --strict

lint-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p ansible_collections.mailops.kerio.plugins.module_utils
	$(BIN)/mypy standalone/check_proof.py
	$(BIN)/mypy -p standalone.kerio_enforce

lint-other:
	$(BIN)/yamllint --strict .
	shellcheck .ci/packages .ci/run

format: $(VENV)/dev.stamp ## Format the Python files
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

reference: $(VENV)/dev.stamp ## Write docs/reference out of modules, roles and playbooks
	@$(BIN)/python -m tests.reference

# Workers of the tests begin at the same time, and each would compile all tests for itself.
test-code: $(VENV)/dev.stamp
	@said=$$($(BIN)/python -m pytest --collect-only --quiet 2>&1) || { echo "$$said" | grep -v '::'; exit 1; }

test: $(VENV)/dev.stamp test-packages ## Lint and all tests
	@$(MAKE) --no-print-directory --jobs 2 --keep-going --output-sync=target $(LINTERS) test-code
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

dist: $(VENV)/dev.stamp test-packages ## Build the collection (build/dist), run Ansible's sanity tests on it, install it and archive the lab with it
	@$(BIN)/python -m tests.dist

matrix: $(VENV)/dev.stamp test-packages ## Tests on the oldest and newest Ansible and Python; PARTS="3.8-unit 3.13-play" for some of them
	@$(BIN)/python -m tests.dist.matrix $(PARTS)

hooks: $(VENV)/dev.stamp ## Have Git run the linters on what is committed (.pre-commit-config.yaml)
	@$(BIN)/pre-commit install

clean: demo-stop lab-stop ## End the lab and remove what was built
	rm -rf build
