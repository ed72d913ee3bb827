"""The registry: whatever training draws has a stream of its own, and streams share no number."""

import ast
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

import training
from training.random.philox import words
from training.random.streams import Stream

SEEDS = 0, 1, 16, 2**32, 2**63 - 1
PLACES = *range(20), 2**32, 2**32 + 1, 2**40
ROOT = Path(training.__file__).parent
GENERATORS = {"SeedSequence", "default_rng", "RandomState", "PCG64", "MT19937", "Philox", "manual_seed", "initial_seed"}
SEEDED_BY_A_STREAM = {  # torch's own generator, for layers of libraries
    "run/random_state.py", "models/tiny/build.py", "models/wan22/build.py",
}  # fmt: skip
PAINTS = "models/sd15/stand_alone.py"  # what painters carry: it trains nothing


def test_no_two_draws_of_a_batch_share_a_number() -> None:
    """Whatever seeds, streams and positions: blocks of 128 bits, of which chance repeats none."""
    blocks = Counter(
        tuple(block.tolist())
        for seed, stream in itertools.product(SEEDS, Stream)
        for row in words(seed, stream, torch.tensor(PLACES), 16)
        for block in row.reshape(4, 4)
    )
    assert len(blocks) == len(SEEDS) * len(Stream) * len(PLACES) * 4


def test_no_two_generators_share_a_number() -> None:
    """Nor do those of places that are one word or several: augmentation of sample 1 was noise of sample 16."""
    places = [(), *((a,) for a in PLACES[1:]), *itertools.product((0, 1, 16), (1, 16, 2**32))]
    numbers = Counter(
        int(number)
        for seed, stream, place in itertools.product(SEEDS, Stream, places)
        for number in stream.generator(seed, *place).integers(2**63, size=8)
    )
    assert len(numbers) == len(SEEDS) * len(Stream) * len(places) * 8
    seeds = {stream.seed(seed, *place) for seed, stream, place in itertools.product(SEEDS, Stream, places)}
    assert len(seeds) == len(SEEDS) * len(Stream) * len(places)


def test_a_generator_begins_anew_each_time() -> None:
    assert Stream.ORDER.generator(3, 1, 2).random(5).tolist() == Stream.ORDER.generator(3, 1, 2).random(5).tolist()
    assert Stream.WEIGHTS.seed(3) == Stream.WEIGHTS.seed(3)


def names_in(path: Path) -> Iterator[ast.Attribute | ast.Name]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node


def sources() -> list[tuple[str, Path]]:
    return [(path.relative_to(ROOT).as_posix(), path) for path in sorted(ROOT.rglob("*.py"))]


def test_nothing_in_training_makes_a_generator_past_the_registry() -> None:
    """Nor does a library's, whose seed must be a stream's."""
    makers = {
        (source, name)
        for source, path in sources()
        for node in names_in(path)
        if (name := node.attr if isinstance(node, ast.Attribute) else node.id) in GENERATORS
    }
    others = {(source, name) for source, name in makers if source not in ("random/streams.py", PAINTS)}
    assert others == {(source, "manual_seed") for source in SEEDED_BY_A_STREAM}


def test_every_stream_is_drawn_from_at_one_place() -> None:
    """Two places that draw from one stream would draw the same numbers."""
    uses = Counter(
        node.attr
        for _, path in sources()
        for node in names_in(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Stream"
    )
    assert uses == Counter(stream.name for stream in Stream)
