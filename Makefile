# make demo    sets up .venv if needed, paints a small data set from the bundled source, and one of its scenes again
# make train-tiny   paints 34,000 scenes and trains a painter like the shipped one on them (two cores: five hours)
# make train-fine   after that: a painter grown from it that learns details as well (two cores: two hours)
# make train-small  a painter on one GPU in ten minutes: data, training, what it paints and how good that is
# make test    sets up, then lint, types, import contract, tests
# make test-gpu     what only a GPU can tell
# make chaos   kills and disturbs every command, by seed, and runs it again (CHAOS_KILLS, CHAOS_FAULTS, CHAOS_SECONDS)
# make fuzz    hostile bytes at every reader of strangers' files, FUZZ_SECONDS (600) in all
# make mutate  mutation testing of the modules that carry promises: hours
# make docs   the documentation as a site: outputs/site/index.html
# make audit   known faults of the pinned packages: a report, which needs a network and fails nothing
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := process_painter conf renderers training pipelines tests benchmarks integrations
TINY := outputs/tiny
BUDGET_S ?= 600
# Two processes of one thread each: on two cores that is faster than one process of two threads.
TRAIN := $(BIN)/torchrun --standalone --nproc_per_node=2 -m training.train
TINY_PICTURES := renderer=manners size=64 num_sequences=12000 gallery=false
TINY_KEYS := +experiment=tiny data='[{path: $(TINY)/alone, weight: 3}, {path: $(TINY)/scenes}]'
MANNERS_KEYS := +experiment=manners data='[{path: $(TINY)/alone}, {path: $(TINY)/scenes}]'
SMALLER := $(TINY)/smaller
LARGE := outputs/large
LARGE_PICTURES := renderer=lessons size=128 source.wording=varied gallery=false
LARGE_DATA := data='[{path: $(LARGE)/alone, weight: 2}, {path: $(LARGE)/scenes}]'
FINE := outputs/fine
FINE_KEYS := +experiment=fine $(LARGE_DATA)

.PHONY: demo train-tiny train-fine train-small test test-gpu setup lint types contract kernels unit nightly chaos fuzz mutate audit docs bench clean

demo: setup
	$(BIN)/python -m pipelines.synth num_sequences=24 out=outputs/demo
	$(BIN)/python -m pipelines.verify dataset=outputs/demo
	tar -xOf outputs/demo/shards/train-00000-of-00006.tar 00000000.03.webp > outputs/demo/block_in.webp
	tar -xOf outputs/demo/shards/train-00000-of-00006.tar 00000000.07.webp > outputs/demo/scene.webp
	$(BIN)/python -m pipelines.paint task=reconstruct image=outputs/demo/scene.webp out=outputs/demo/painting

train-tiny: setup
	$(BIN)/python -m pipelines.synth $(TINY_PICTURES) out=$(TINY)/scenes
	$(BIN)/python -m pipelines.synth $(TINY_PICTURES) source.seed=1 source.alone=true source.subjects=all out=$(TINY)/alone
	$(TRAIN) stage=words out=$(TINY)/words $(TINY_KEYS)
	$(TRAIN) stage=base base=$(TINY)/words out=$(TINY)/base $(TINY_KEYS)
	$(TRAIN) stage=motion base=$(TINY)/base out=$(TINY)/motion $(TINY_KEYS)
	$(TRAIN) stage=replication base=$(TINY)/base motion=$(TINY)/motion out=$(TINY)/replication $(TINY_KEYS)
	$(TRAIN) stage=words base=$(TINY)/base out=$(TINY)/manners $(MANNERS_KEYS)
	$(TRAIN) stage=motion base=$(TINY)/manners motion=$(TINY)/motion out=$(TINY)/motion-in-manners $(MANNERS_KEYS)
	$(TRAIN) stage=replication base=$(TINY)/manners motion=$(TINY)/motion-in-manners \
	    replication=$(TINY)/replication out=$(TINY)/replication-in-manners $(MANNERS_KEYS)
	$(BIN)/python -m training.assemble base=$(TINY)/base words=$(TINY)/manners motion=$(TINY)/motion-in-manners \
	    replication=$(TINY)/replication-in-manners dtype=fp16 'sizes=[80x64,96x64,64x80,64x96]' out=$(SMALLER)
	$(BIN)/python -m pipelines.synth $(LARGE_PICTURES) num_sequences=6000 out=$(LARGE)/scenes
	$(BIN)/python -m pipelines.synth $(LARGE_PICTURES) num_sequences=4000 source.seed=1 source.alone=true out=$(LARGE)/alone
	$(BIN)/python -m training.train +experiment=larger stage=codec base=$(SMALLER) out=$(TINY)/decoder $(LARGE_DATA)
	$(BIN)/python -m training.assemble painter=$(SMALLER) codec=$(TINY)/decoder dtype=fp16 \
	    'sizes=[160x128,192x128,128x160,128x192]' out=$(TINY)/painter

train-fine: setup
	$(TRAIN) stage=base base=$(SMALLER) out=$(FINE)/base $(FINE_KEYS)
	$(TRAIN) stage=codec base=$(FINE)/base out=$(FINE)/decoder $(FINE_KEYS)
	$(TRAIN) stage=motion base=$(FINE)/base motion=$(SMALLER)/motion_adapter out=$(FINE)/motion $(FINE_KEYS)
	$(TRAIN) stage=replication base=$(FINE)/base motion=$(FINE)/motion replication=$(SMALLER)/replication \
	    out=$(FINE)/replication $(FINE_KEYS)
	$(BIN)/python -m training.assemble base=$(FINE)/base codec=$(FINE)/decoder motion=$(FINE)/motion \
	    replication=$(FINE)/replication dtype=fp16 'sizes=[160x128,192x128,128x160,128x192]' out=$(FINE)/painter

train-small: setup
	$(BIN)/python -m pipelines.painters.small --seconds $(BUDGET_S) --out outputs/small

# What tests paint with is compiled while types are checked: on a new machine each takes a minute of one core.
test: setup
	$(MAKE) --jobs 2 --output-sync lint types contract kernels
	$(MAKE) unit

kernels: setup
	$(BIN)/python -m process_painter kernels agent bezier brush ink region studio

test-gpu: setup
	$(BIN)/pytest -m gpu

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
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m "not nightly"

# Goes on where it was, and tries again what failed. With CHAOS_SECONDS=3600 it tries for an hour instead.
CHAOS_KILLS ?= 1000
CHAOS_FAULTS ?= 1000
CHAOS_SEED ?= 1
CHAOS_SECONDS ?= 0
chaos: setup
	$(BIN)/python -m tests.chaos --kills $(CHAOS_KILLS) --faults $(CHAOS_FAULTS) --seed $(CHAOS_SEED) --seconds $(CHAOS_SECONDS)

nightly: setup
	$(BIN)/pytest -m nightly

fuzz: setup
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(BIN)/python -m tests.fuzz

mutate: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[nightly]'
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $${MUTATE_PROCESSES:-1}
	$(BIN)/mutmut results

audit: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[nightly]'
	-$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: setup
	$(BIN)/python -m benchmarks.bezier
	$(BIN)/python -m benchmarks.synth
	$(BIN)/python -m benchmarks.stream

clean:
	rm -rf outputs mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
