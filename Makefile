# `make help` lists the targets. They use the active virtual environment, or create .venv (with PYTHON=…, if given).

PYTHON ?= python3
DEMO   ?= outputs/demo
TESTS  ?= tests

ifdef VIRTUAL_ENV
ENV := $(VIRTUAL_ENV)
else
ENV := .venv
endif
PY    := $(ENV)/bin/python
# Marks a finished installation, which is repeated only when its requirements change.
STAMP := $(ENV)/.cifar-resnet-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test integration mutants lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install, into the active virtual environment or a new .venv

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || { $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and \
	    f"Python {v.major}.{v.minor} is too old: expected 3.10 or newer, as in: make PYTHON=python3.12")' \
	    && $(PYTHON) -m venv $(ENV); }
	@echo "installing into $(ENV) (a few minutes the first time) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)
ifndef VIRTUAL_ENV
	@echo "for the commands in README.md: . $(ENV)/bin/activate"
endif

demo: $(STAMP)  ## train nine networks on digits and write their report (minutes, no data download)
	$(PY) train.py -m sweeps=demo out=$(DEMO)
	$(PY) aggregate.py $(DEMO)
	@echo "Open the report in a browser: $(DEMO)/report/report.html"

test: $(STAMP)  ## run the tests, except those of `make integration` (minutes)
	$(PY) -m pytest

# The tests of a file stay in one process, where they share a cluster or a browser.
integration: $(STAMP)  ## run the tests that take long or need the Debian packages in docs/running.md (TESTS=… selects some)
	$(PY) -m pytest -n 2 --dist loadfile -m integration -rs $(TESTS)

# A mutant is a copy of the program with one small bug. MUTANTS='cifar_resnet.run.identity.*' selects some.
mutants: $(STAMP)  ## find bugs that no test would notice (hours; see docs/testing.md)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mutants]'
	nice -n 10 $(ENV)/bin/mutmut run $(MUTANTS)
	@echo "not noticed:"
	@$(ENV)/bin/mutmut results | grep -v ': not checked' || true
	@$(ENV)/bin/mutmut results --all true | sed -E 's/\.x(_|ǁ).*: / /' | sort | uniq -c

lint: $(STAMP)  ## run ruff, mypy and import-linter
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(ENV)/bin/lint-imports --no-cache

clean:  ## remove .venv and the demo's output
	rm -rf .venv $(DEMO)
