# `make run` and `make test` do all of their own set-up, into .venv.

PYTHON ?= python3
RUST := 1.88
BIN := .venv/bin
# The interpreter that the native module is compiled for.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# Others to build the package for and to try it on, for `make wheels` and `make test-pythons`.
PYTHONS ?= $(shell tests/find_pythons.sh)

# .venv is made anew when the dependencies or the interpreter are others.
VERSION := $(shell $(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null)
INSTALLED := .venv/installed-$(VERSION)

.PHONY: run run-postgres test lint test-rust test-python test-pythons smoke-pythons wheels torture promises sabotage mutants bench bench-quick docs fuzz sanitize check build clean

run: build
	@$(BIN)/python examples/backend/run.py

# The same over a private PostgreSQL server, made from the programs that lie on this machine.
run-postgres: build
	@$(BIN)/python -m tests.postgres.example

test: lint test-rust test-python

lint: build
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features python,postgres -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest oasis_data

test-rust: build
	cargo test --features postgres

test-python: build
	$(BIN)/python -m pytest

# The package as a user installs it, on each interpreter that is found; SOME= names a part of the tests.
test-pythons: check
	SOME="$(SOME)" tests/pythons.sh $(PYTHONS)

# What CI also runs on the oldest and the newest Python: what Python itself could break.
SMOKE := tests/parity tests/bad_input tests/cache tests/errors tests/test_codec.py tests/test_import.py \
	tests/rules tests/test_save.py tests/test_edit.py tests/test_batch.py tests/test_backups.py
smoke-pythons:
	$(MAKE) test-pythons SOME="$(SMOKE)" PYTHONS="$(firstword $(PYTHONS)) $(lastword $(PYTHONS))"

# A wheel for each interpreter that is found, into dist/, for every Linux since glibc 2.17.
wheels: build
	$(BIN)/python -m pip install --quiet --group wheels
	tests/wheels.sh $(PYTHONS)

# The campaign at full length: faults, kills, power cuts, increments, and every file system.
# Wants root, for mounts and, for moments, the clock.
torture: build
	OASIS_TORTURE=1 $(BIN)/python -m pytest tests/torture tests/test_fork.py tests/test_exit.py tests/postgres -s

# The table of promises, kept or broken, for the package and its peers.
promises: build
	$(BIN)/python -m tests.torture.promises

# Takes each safeguard out of a copy: its test must fail.
sabotage: build
	$(BIN)/python -m tests.sabotage

# Ordinary mutations (`==` for `!=`, a constant for a function's answer) of the core: which of them no
# core test notices. FILES= names fewer files; all of them take hours.
FILES ?= src/cache.rs src/documents/*.rs src/files/*.rs src/files/*/*.rs
mutants: check
	@cargo mutants --version >/dev/null || { echo "cargo-mutants is missing: cargo install --locked cargo-mutants" >&2; exit 1; }
	cargo mutants --no-shuffle --timeout 120 $(addprefix --file=,$(wildcard $(FILES))) --features postgres -- --tests

# Against peers, into docs/benchmarks.md; `bench-quick` takes a minute or two, leaves out the
# large documents, and only prints.
bench: build
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benches/compare.py write
	$(BIN)/python benches/stores.py write

bench-quick: build
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benches/compare.py quick

# The documentation, into site/. `make test` builds it too, and looks at what it built.
docs: build
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html"

# Looks for texts that the parser reads in another way than serde_json does, for so many seconds each.
SECONDS ?= 120
fuzz: check
	fuzz/run.sh $(SECONDS)

# The tests under an address sanitiser, in half an hour; TESTS= names fewer. Without the campaign,
# which traces other processes.
TESTS ?= tests/test_*.py tests/backend tests/bad_input tests/cache tests/cli tests/errors \
	tests/flask_extension tests/monitoring tests/parity
sanitize: build
	OASIS_INPUTS=20000 tests/sanitize.sh --timeout 900 $(TESTS)

build: check $(INSTALLED)
	@echo "building the native module; the first time takes some minutes"
	@PIP_QUIET=2 $(BIN)/maturin develop --release --quiet

$(INSTALLED): pyproject.toml | check
	@echo "installing the tools into .venv"
	@$(PYTHON) -m venv --clear .venv
	@PIP_QUIET=2 $(BIN)/python -m pip install --disable-pip-version-check 'pip==26.3'
	@PIP_QUIET=2 $(BIN)/python -m pip install --group dev
	@touch $@

check:
	@command -v cargo >/dev/null || { echo "oasis_data needs Rust $(RUST) or later: cargo is not on the PATH (see https://rustup.rs)" >&2; exit 1; }
	@printf '%s\n' $(RUST).0 "$$(cargo --version | cut -d' ' -f2)" | sort -CV || { echo "oasis_data needs Rust $(RUST) or later: this is $$(cargo --version)" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "oasis_data needs Python 3.10 or later: $(PYTHON) is not on the PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "oasis_data needs Python 3.10 or later: $(PYTHON) is older" >&2; exit 1; }

clean:
	rm -rf .venv target dist site
