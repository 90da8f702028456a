# `make help` lists the targets. An active virtual environment is used; else .venv is made, with PYTHON=… if given.

PYTHON ?= python3
DEMO   ?= outputs/demo
TESTS  ?= tests/integration

ifdef VIRTUAL_ENV
ENV := $(VIRTUAL_ENV)
else
ENV := .venv
endif
PY    := $(ENV)/bin/python
# Installing leaves this mark; it is done again only when what it depends on has changed.
STAMP := $(ENV)/.cifar-resnet-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test integration lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv (or use the active environment) and install

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || { $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and \
	    f"Python {v.major}.{v.minor} is too old: expected 3.10 or newer, as in: make PYTHON=python3.12")' \
	    && $(PYTHON) -m venv $(ENV); }
	@echo "installing into $(ENV) (a few minutes the first time) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## the nine runs on digits, and their report (minutes, no download of data)
	$(PY) train.py -m sweeps=demo out=$(DEMO)
	$(PY) aggregate.py $(DEMO)

test: $(STAMP)  ## all tests that need no Debian package
	$(PY) -m pytest

integration: $(STAMP)  ## tests that need the Debian packages that README names (TESTS=… for some of them)
	$(PY) -m pytest -n 0 -m integration -rs $(TESTS)

lint: $(STAMP)  ## ruff, mypy and import-linter
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(ENV)/bin/lint-imports --no-cache

clean:  ## remove .venv and what the demo wrote
	rm -rf .venv $(DEMO)
