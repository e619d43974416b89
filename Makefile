# `make run` and `make test` do all of their own set-up, into .venv.

PYTHON ?= python3
BIN := .venv/bin
# The interpreter that the native module is compiled for.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# Others to try the package on, for `make test-pythons`.
PYTHONS ?= python3.10 python3.11 python3.12 python3.13

.PHONY: run test lint test-rust test-python test-pythons build clean

run: build
	$(BIN)/python examples/backend/run.py

test: lint test-rust test-python

lint: build
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest oasis_data

test-rust: build
	cargo test

test-python: build
	$(BIN)/python -m pytest

# The package as a user installs it, on each interpreter that is found.
test-pythons: build
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/pythons.sh $(PYTHONS)

build: .venv/installed
	$(BIN)/maturin develop --release --quiet

.venv/installed: pyproject.toml
	@command -v cargo >/dev/null || { echo "oasis_data needs Rust: cargo is not on the PATH (see https://rustup.rs)" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "oasis_data needs Python 3.10 or later: $(PYTHON) is not on the PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "oasis_data needs Python 3.10 or later: $(PYTHON) is older" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check 'pip==26.3'
	$(BIN)/python -m pip install -qq --group dev
	touch $@

clean:
	rm -rf .venv target
