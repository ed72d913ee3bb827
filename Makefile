# make demo    sets up .venv if needed, then paints a small data set from the bundled source
# make test    sets up, then lint, types, import contract, tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := conf renderers training pipelines tests benchmarks

.PHONY: demo test setup lint types contract unit nightly bench clean

demo: setup
	$(BIN)/python -m pipelines.synth num_sequences=24 out=outputs/demo
	$(BIN)/python -m pipelines.verify dataset=outputs/demo

test: setup lint types contract unit

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

lint:
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types:
	$(BIN)/mypy

contract:
	$(BIN)/lint-imports

unit:
	$(BIN)/pytest -m "not nightly"

nightly: setup
	$(BIN)/pytest -m nightly

bench: setup
	$(BIN)/python -m benchmarks.bezier
	$(BIN)/python -m benchmarks.synth
	$(BIN)/python -m benchmarks.stream

clean:
	rm -rf outputs .mypy_cache .ruff_cache .pytest_cache .hypothesis
