# make demo    sets up .venv if needed, then paints a small data set from the bundled source
# make train-tiny   paints 8,000 scenes, trains the tiny model on them (an hour of two cores), measures and shows it
# make test    sets up, then lint, types, import contract, tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := conf renderers training pipelines tests benchmarks
TINY := outputs/tiny
TINY_WORDS := num_workers=0 tracker=none ema_decay=0.995 optimizer.betas=[0.9,0.99] optimizer.cooldown_steps=800 \
    guidance=2.5 log_every=50 validate_every=200 sample_every=200 checkpoint_every=200

.PHONY: demo train-tiny test setup lint types contract unit nightly bench clean

demo: setup
	$(BIN)/python -m pipelines.synth num_sequences=24 out=outputs/demo
	$(BIN)/python -m pipelines.verify dataset=outputs/demo

train-tiny: setup
	$(BIN)/python -m pipelines.synth renderer=small size=64 num_sequences=8000 gallery=false out=$(TINY)/scenes
	$(BIN)/python -m training.train stage=base data=$(TINY)/scenes out=$(TINY)/base \
	    max_steps=2400 batch_size=32 $(TINY_WORDS)
	$(BIN)/python -m training.train stage=motion data=$(TINY)/scenes base=$(TINY)/base out=$(TINY)/motion \
	    max_steps=1800 batch_size=8 $(TINY_WORDS)
	$(BIN)/python -m benchmarks.tiny --data $(TINY)/scenes --base $(TINY)/base --motion $(TINY)/motion

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
