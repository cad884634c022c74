# make demo   the main job in the lab, set up from nothing
# make test   lint, types, import contracts, all tests, with the lab
# make unit   the tests that need no lab, in seconds
# make lab    an open lab to work in

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.ready
PACKAGES := python3-venv mmdebstrap debian-archive-keyring e2fsprogs openssh-client uidmap

.PHONY: test unit lint types demo lab schemas clean

test: lint types unit
	$(BIN)/pytest tests/lab

unit: $(STAMP)
	$(BIN)/pytest tests/unit tests/cases tests/property

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)
	$(BIN)/mypy -p reconciler
	$(BIN)/mypy tests/lab/machinery tests/hosts.py

demo: $(STAMP)
	$(BIN)/python -m tests.lab.demo

lab: $(STAMP)
	tests/lab/lab up
	tests/lab/lab push
	tests/lab/lab ssh

schemas: $(STAMP)
	$(BIN)/python -m reconciler.cli.schema schemas

$(STAMP): pyproject.toml contrib/setup/packages
	contrib/setup/packages $(PACKAGES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
