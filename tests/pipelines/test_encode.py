"""`pipelines.encode`: the data set as a base model sees it, whole or going on, and the stream that reads it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from conf.command import command
from conf.compose import compose
from conf.errors import UserError
from pipelines import encode, gallery, verify
from pipelines.encode import encode_config
from tests.pipelines.runs import assert_same, contents
from tests.pipelines.small_dataset import painted_frames, small_dataset
from tests.training.models.small_base import small_base
from training.data.augment import Augmentation
from training.data.batch import SequenceBatch
from training.data.dataset import read_card, read_manifests
from training.data.encoded import caption_key
from training.data.manifest import manifest_path, read_manifest, tar_path
from training.data.sequence import StoredSequence, read_sequences
from training.data.shard import ShardWriter
from training.data.split import open_split
from training.data.stream import DataMixture, SequenceStream
from training.data.survey import surveyed
from training.data.text import Text

# Some captions are the same, and share an embedding.
CAPTIONS = ("a boat", "a hill", "a boat", "a lake", "a lamp", "a hill")
CPU = torch.device("cpu")


class FakeBase:
    """Means of 8 x 8 patches as latents, and numbers from the hash of a caption as its embedding."""

    cell_px = 8

    def __init__(self, name: str = "fake", dies_after: int = 10**9) -> None:
        self.name, self.left, self.embedded = name, dies_after, [""][:0]

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        return num_frames, 3, size_px[0] // 8, size_px[1] // 8

    def encode_sequences(self, frames: torch.Tensor, at_once: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        parts = []
        for some in torch.split(frames, at_once or frames.shape[1], dim=1):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            parts.append(torch.nn.functional.avg_pool3d(some.transpose(1, 2), (1, 8, 8)).transpose(1, 2))
        mean = torch.cat(parts, dim=1)
        return mean, mean - 3

    def embed(self, captions: Sequence[str]) -> Text:
        self.embedded += captions
        digests = [hashlib.sha256(caption.encode()).digest() for caption in captions]
        return Text({"text": torch.tensor([list(digest) for digest in digests]).float().reshape(-1, 4, 8)})

    def fingerprint(self) -> str:
        return self.name


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("encode") / "scenes", captions=CAPTIONS, num_frames=3)


@pytest.fixture(scope="module")
def encoded(scenes: Path) -> Path:
    out = scenes.parent / "latents"
    encode_to(out, scenes, dtype="fp32")
    return out


def encode_to(out: Path, scenes: Path, base: Any = None, **how: Any) -> Any:
    typed = [f"dataset={scenes}", f"out={out}", "model=tiny", "base=fake", *(f"{key}={how[key]}" for key in how)]
    config = encode_config(compose("encode", typed))
    return encode.encode(config, encode.open_splits(str(scenes)), base or FakeBase(), CPU)


def batches_of(folder: Path, steps: int = 4, batch: int = 1, **how: Any) -> list[SequenceBatch]:
    stream = SequenceStream.open([DataMixture(path=str(folder))], **how)
    with stream.batches(seed=0, batch_size=batch) as batches:
        return list(islice(batches, steps))


def test_latents_and_embeddings_come_in_the_order_of_the_frames(scenes: Path, encoded: Path) -> None:
    for frames, latents in zip(batches_of(scenes, 2, 2), batches_of(encoded, 2, 2), strict=True):
        assert [key.partition("/")[2] for key in frames.keys] == [key.partition("/")[2] for key in latents.keys]
        assert frames.captions == latents.captions and latents.frames is None
        assert frames.frames is not None and latents.latents is not None
        for row, caption in enumerate(frames.captions):
            mean, logvar = FakeBase().encode_sequences(frames.frames[row : row + 1])
            torch.testing.assert_close(latents.latents.mean[row], mean[0], atol=1e-6, rtol=0)
            torch.testing.assert_close(latents.latents.logvar[row], logvar[0], atol=1e-6, rtol=0)
            assert torch.equal(latents.latents.text["text"][row], FakeBase().embed([caption])["text"][0])


def test_the_last_frame_alone_has_its_latents(encoded: Path) -> None:
    for whole, last in zip(batches_of(encoded), batches_of(encoded, frames="last"), strict=True):
        assert whole.latents is not None and last.latents is not None
        assert last.latents.mean.shape[1] == 1 and torch.equal(last.latents.mean, whole.latents.mean[:, -1:])


def test_each_caption_is_embedded_and_stored_once(scenes: Path, tmp_path: Path) -> None:
    base = FakeBase()
    encode_to(tmp_path / "out", scenes, base)
    assert sorted(base.embedded) == sorted(set(CAPTIONS))
    texts = open_split(str(tmp_path / "out"), "text")
    keys = [texts.key(index) for index in range(len(texts))]
    assert sorted(keys) == sorted(caption_key(caption) for caption in set(CAPTIONS))


def test_half_the_bytes_are_close_to_all(scenes: Path, encoded: Path, tmp_path: Path) -> None:
    encode_to(tmp_path / "half", scenes, dtype="bf16")
    for exact, half in zip(batches_of(encoded), batches_of(tmp_path / "half"), strict=True):
        assert exact.latents is not None and half.latents is not None
        assert half.latents.mean.dtype == torch.float32
        torch.testing.assert_close(exact.latents.mean, half.latents.mean, atol=0, rtol=2**-8)


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(scenes: Path, encoded: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents"
    for calls in (3, 3):  # of two sequences a shard, so that each run commits one and dies in the next
        with pytest.raises(KeyboardInterrupt):
            encode_to(out, scenes, FakeBase(dies_after=calls), dtype="fp32")
    assert read_card(out).totals is None
    with pytest.raises(UserError, match="not complete"):
        batches_of(out)
    base = FakeBase()
    summary = encode_to(out, scenes, base, dtype="fp32")
    assert "4 were there already" in summary.lines[0]
    assert_same(contents(out), contents(encoded))
    again = encode_to(out, scenes, FakeBase(dies_after=0), dtype="fp32")  # nothing is left to do
    assert "encoded 0" in again.lines[0]


def test_batch_size_changes_speed_and_not_bytes(scenes: Path, encoded: Path, tmp_path: Path) -> None:
    encode_to(tmp_path / "out", scenes, dtype="fp32", batch_size=1)
    assert_same(contents(tmp_path / "out"), contents(encoded))


def test_what_learns_from_latents_knows_how_methods_are_asked_for(tmp_path: Path) -> None:
    phrases = {"oil": "painted in oil", "studio": "drawn and washed in ink"}
    scenes = small_dataset(tmp_path / "scenes", captions=CAPTIONS, num_frames=3, phrases=phrases)
    encode_to(tmp_path / "latents", scenes)
    for folder in ("scenes", "latents"):
        assert SequenceStream.open([DataMixture(path=str(tmp_path / folder))]).facts["phrases"] == phrases


def test_latents_of_another_base_are_refused(encoded: Path) -> None:
    assert len(batches_of(encoded, base_fingerprint="fake")) == 4
    with pytest.raises(UserError, match="another base"):
        batches_of(encoded, base_fingerprint="other")


def test_latents_cannot_be_augmented(encoded: Path) -> None:
    with pytest.raises(UserError, match="cannot be augmented"):
        batches_of(encoded, augmentation=Augmentation(flip=0.5))


def test_latents_and_frames_do_not_mix(scenes: Path, encoded: Path) -> None:
    with pytest.raises(UserError, match="latents"):
        SequenceStream.open([DataMixture(path=str(scenes)), DataMixture(path=str(encoded))])


def test_another_base_or_precision_needs_another_folder(scenes: Path, encoded: Path) -> None:
    before = contents(encoded)
    for how in ({"base": FakeBase("other")}, {"dtype": "bf16"}):
        with pytest.raises(UserError, match="out="):
            encode_to(encoded, scenes, **{"dtype": "fp32", **how})
    assert_same(contents(encoded), before)


def test_what_cannot_be_encoded_is_refused_before_anything_is_written(encoded: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="encoded already"):
        encode_to(tmp_path / "out", encoded)
    odd = small_dataset(tmp_path / "odd", captions=CAPTIONS, num_frames=3, size_px=(64, 44))
    with pytest.raises(UserError, match="multiples of 8"):
        encode_to(tmp_path / "out", odd)
    assert not (tmp_path / "out").exists()


def test_a_caption_without_embedding_is_refused(encoded: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents"
    shutil.copytree(encoded, out)
    (name,) = (name for name in read_card(out).shards if name.startswith("val-"))
    path = manifest_path(out, name)
    manifest = json.loads(path.read_text())
    manifest["records"][0]["caption"] = "a ship"
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="not the manifest that the data set was completed with"):
        batches_of(out, split="val", steps=1)
    replace(read_card(out), manifests=None).write(out)  # as the first version left it, without hashes
    with pytest.raises(UserError, match="1 captions have no embedding, first 'a ship'"):
        batches_of(out, split="val", steps=1)


def test_an_encoded_data_set_can_be_verified_and_not_shown(encoded: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents"
    shutil.copytree(encoded, out)
    overrides = [f"dataset={out}"]
    assert command("verify", verify.verify_config, verify.run, "", overrides) == 0
    assert command("gallery", gallery.gallery_config, gallery.run, "", overrides) == 2
    tar = tar_path(out, read_card(out).shards[-1])
    data = bytearray(tar.read_bytes())
    data[1000] ^= 1
    tar.write_bytes(data)
    assert command("verify", verify.verify_config, verify.run, "", overrides) == 1


TWO_OF_THREE = save({"mean": torch.zeros(2, 1, 4, 4), "logvar": torch.zeros(2, 1, 4, 4)})
UNEQUAL = save({"mean": torch.zeros(3, 1, 4, 4), "logvar": torch.zeros(3, 2, 4, 4)})


@pytest.mark.parametrize(
    ("split", "member", "content", "reason"),
    [
        ("train", "txt", b"another caption", "the manifest's caption is not the sequence's"),
        ("train", "latents.safetensors", b"", "latents.safetensors is missing or damaged"),
        ("train", "json", None, "the manifest's frame_steps is not the sequence's"),
        ("train", "latents.safetensors", None, "its latents are not finite"),
        ("train", "latents.safetensors", TWO_OF_THREE, "latents (2, 1, 4, 4) and (2, 1, 4, 4) for 3 frames"),
        ("train", "latents.safetensors", UNEQUAL, "latents (3, 1, 4, 4) and (3, 2, 4, 4) for 3 frames"),
        ("text", "txt", b"another caption", "its key is not that of its caption"),
        ("text", "json", b"[]", "its key is not that of its caption"),
        ("text", "text.safetensors", None, "its embedding is not finite"),
        ("text", "text.safetensors", b"", "text.safetensors is missing or damaged"),
    ],
)
def test_forged_latents_are_named(
    encoded: Path, tmp_path: Path, split: str, member: str, content: bytes | None, reason: str
) -> None:
    """Everything well-summed: only what the sequence holds tells."""
    out = tmp_path / "latents"
    shutil.copytree(encoded, out)
    name = next(name for name in read_card(out).shards if name.startswith(split))
    manifest = read_manifest(out, name)
    assert manifest is not None
    sequences = list(read_sequences(out, manifest))
    with ShardWriter(out, name) as writer:
        for number, sequence in enumerate(sequences):
            forged = {} if number else {member: spoilt(sequence, member) if content is None else content}
            writer.add(sequence.key, {**sequence.members, **forged})
        names = ("split", "first_index", "num_planned", "config_hash", "code_version", "records", "quarantined")
        writer.commit(**{field: getattr(manifest, field) for field in names})
    card = read_card(out)
    card.completed(out, surveyed(read_manifests(out, card.shards)).totals()).write(out)
    summary = verify.run(verify.VerifyConfig(dataset=out))
    assert summary.exit_code == 1
    assert any(reason in line for line in summary.lines), summary.lines


def spoilt(sequence: StoredSequence, member: str) -> bytes:
    """The member with wrong numbers."""
    if member == "json":
        facts = json.loads(sequence.members["json"])
        facts["frames"][1]["step"] += 1
        return json.dumps(facts).encode()
    tensors = load(sequence.members[member])
    return save({name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()})


def test_frames_are_as_stored_when_they_are_encoded(scenes: Path, encoded: Path) -> None:
    """Against pixels that were never written: of the picture's own rows, in [-1, 1]."""
    manifest = read_manifest(encoded, read_card(encoded).shards[0])
    assert manifest is not None
    first = next(iter(read_sequences(encoded, manifest)))
    from training.data.encoded import latents_of

    stored = painted_frames(0, 3, (64, 48)).astype(np.float32) / 127.5 - 1
    patches = stored.reshape(3, 6, 8, 8, 8, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(latents_of(first)[0].numpy(), patches, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["dataset=/none", "base=x", "out=/tmp/o"], "no such folder"),
        (["dataset=/none", "model=tiny"], "base is required"),
        (["dataset=/none", "batch_size=0"], "batch_size=0"),
        (["dataset=/none", "dtype=fp16"], "dtype=fp16"),
        (["model=tiny"], "dataset is required"),
    ],
)
def test_bad_words_are_one_line_and_exit_code_2(
    overrides: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("encode", encode_config, encode.run, "", overrides) == 2
    message = capsys.readouterr().err
    assert reason in message and message.count("\n") == 1


def test_a_real_base_encodes_through_the_command_and_its_stream_knows_it(scenes: Path, tmp_path: Path) -> None:
    from training.models.sd15.base import load_base
    from training.models.tiny.build import build_tiny
    from training.models.tiny.shape import TinyShape
    from training.noise_schedule import NoiseSchedule

    (pictures,) = [batch.frames for batch in batches_of(scenes, 1, 4, frames="last")]
    assert pictures is not None
    shape = TinyShape(channels=(16, 16), plain_levels=0, patch_px=8, text_width=16, latent_channels=8)
    build_tiny(shape, CAPTIONS, pictures.flatten(0, 1), NoiseSchedule(), seed=0).save(tmp_path / "run" / "weights")
    (tmp_path / "run" / "run.json").write_text("{}")
    overrides = [f"dataset={scenes}", f"out={tmp_path / 'latents'}", "model=tiny", f"base={tmp_path / 'run'}"]
    assert command("encode", encode_config, encode.run, "", [*overrides, "device=cpu", "dtype=fp32"]) == 0
    base = load_base(tmp_path / "run" / "weights")
    held = batches_of(tmp_path / "latents", base_fingerprint=base.fingerprint())
    for batch, frames in zip(held, batches_of(scenes), strict=True):
        assert batch.latents is not None and frames.frames is not None
        mean, _ = base.encode_frames(frames.frames[0])
        torch.testing.assert_close(batch.latents.mean[0], mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            batch.latents.text["text"], base.embed(frames.captions)["text"], atol=1e-5, rtol=1e-5
        )


def test_what_is_not_finite_is_neither_stored_nor_called_success(scenes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    base = small_base()
    with torch.no_grad():
        base.vae.to_code.weight[0] = 3e38  # type: ignore[union-attr, operator]  # finite itself, its sums are not
    base.save(folder)
    config = encode_config(compose("encode", [f"dataset={scenes}", f"out={tmp_path / 'out'}", f"base={folder}"]))
    with pytest.raises(UserError, match=r"latents of \S+: \d+ of \d+ values are not finite"):
        encode.run(config)
    with pytest.raises(UserError):
        verify.run(verify.verify_config(compose("verify", [f"dataset={tmp_path / 'out'}"])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_base_in_half_precision_encodes_as_the_same_numbers_in_float32(
    scenes: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    half = small_base().to("cpu", dtype)
    half.save(tmp_path / "half")
    half.to("cpu", torch.float32).save(tmp_path / "whole")
    for name in ("half", "whole"):
        overrides = [f"dataset={scenes}", f"out={tmp_path / f'out_{name}'}", f"base={tmp_path / name}", "dtype=fp32"]
        encode.run(encode_config(compose("encode", overrides)))
    assert_same(contents(tmp_path / "out_half"), contents(tmp_path / "out_whole"))
