# make demo      the main job on a simulated host, in under a minute, without root
# make demo-lab  the same in the lab: a real kernel, set up from nothing
# make test      lint, types, import contracts, all tests, with the lab
# make test-long the same, with the lab's scenarios that take another while
# make unit      the tests that need no lab, in five minutes
# make fuzz      damaged and hostile input for as long as you like (FUZZ_MINUTES=20)
# make bench     measures it against what people use today, in the lab and here; about half an hour
# make lab       an open lab to work in

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.ready
DEMO_STAMP := $(VENV)/.demo
BENCH_STAMP := $(VENV)/.bench
PACKAGES := python3-venv mmdebstrap debian-archive-keyring e2fsprogs openssh-client uidmap

.PHONY: test test-long unit fuzz lint types demo demo-lab bench lab schemas clean

test: lint types unit
	$(BIN)/pytest -n 2 --dist loadfile tests/lab

test-long: lint types unit
	$(BIN)/pytest -n 2 --dist loadfile -m '' tests/lab

unit: $(STAMP)
	$(BIN)/pytest -n 2 tests/unit tests/cases tests/property tests/conformance tests/faults tests/fuzz

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)
	$(BIN)/mypy -p reconciler
	$(BIN)/mypy --explicit-package-bases tests/lab/machinery tests/hosts.py contrib/demo contrib/pictures contrib/bench

demo: $(DEMO_STAMP)
	$(BIN)/python -m contrib.demo.twin

demo-lab: $(STAMP)
	$(BIN)/python -m contrib.demo.lab

bench: $(BENCH_STAMP)
	$(BIN)/python -m contrib.bench

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

# A loop in C is among what it is measured against.
$(BENCH_STAMP): $(STAMP)
	contrib/setup/packages gcc libc6-dev
	touch $@

# The demo needs neither the tests' tools nor root, unless Python comes without venv.
$(DEMO_STAMP): pyproject.toml
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || contrib/setup/packages python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
