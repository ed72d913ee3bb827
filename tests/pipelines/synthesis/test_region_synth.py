"""Region paintings through the whole command: what is stored, what is refused, networks of the user's own."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import segment_anything
import torch
from PIL import Image

from conf.compose import compose
from conf.errors import ConfigError
from conf.recipe import recipe_hash
from pipelines import synth, verify
from pipelines.pages.gallery.contents import gather
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.synthesis.regions import label_map_bytes, read_label_map, region_faults
from pipelines.synthesis.run_config import ClusterConfig
from renderers.painting import StrokeProgram
from tests.pipelines.runs import assert_same, contents, save_picture
from tests.small_sam import save_small_sam, small_sam
from training.data.manifest import read_manifest
from training.data.sequence import StoredSequence, read_sequences

REGION = [
    "renderer=region", "size=96x64", "num_sequences=2", "num_frames=4", "cluster=inline", "gallery=false",
    "val_fraction=0", "renderer.strokes.num_strokes=60",
]  # fmt: skip
SAM = ["renderer.segment.method=sam", "renderer.segment.sam.points_per_side=3", "renderer.segment.sam.min_quality=0",
       "renderer.segment.sam.min_stability=0"]  # fmt: skip
DEEP = ["renderer.saliency.method=deep", "renderer.saliency.input_px=32"]


def configured(out: Path, *overrides: str) -> SynthConfig:
    return synth_config(compose("synth", [*REGION, f"out={out}", *overrides]))


def sequences_of(out: Path) -> list[StoredSequence]:
    manifest = read_manifest(out, "train-00000-of-00001")
    assert manifest is not None
    return list(read_sequences(out, manifest))


def refusal(out: Path, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        configured(out, *overrides)
    assert "\n" not in str(caught.value) and not out.exists()
    return caught.value


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("region") / "out"
    assert synth.run(configured(out)).exit_code == 0
    return out


@pytest.mark.parametrize("fill", ["wash", "flat", "strokes"])
@pytest.mark.parametrize("order", ["back_to_front", "area"])
def test_every_fill_and_order_is_verified(tmp_path: Path, fill: str, order: str) -> None:
    overrides = [f"renderer.fill={fill}", f"renderer.order={order}", "renderer.segment.method=truth"]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0


def test_a_rerun_elsewhere_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert synth.run(configured(tmp_path / "out")).exit_code == 0
    assert_same(contents(made), contents(tmp_path / "out"))


def test_data_sets_cut_as_before_things_are_refused_and_left_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = SynthConfig.recipe

    def older(config: SynthConfig) -> dict[str, Any]:
        """That of version 0.2, which knew no things."""
        plain = recipe(config)
        del plain["renderers"][0]["config"]["segment"]["max_things"]
        return plain

    with monkeypatch.context() as patch:
        patch.setattr(SynthConfig, "recipe", older)
        assert synth.run(configured(tmp_path / "out")).exit_code == 0
    before = contents(tmp_path / "out")
    with pytest.raises(ConfigError) as caught:
        synth.run(configured(tmp_path / "out"))
    assert caught.value.key == "out" and "\n" not in str(caught.value)
    assert_same(before, contents(tmp_path / "out"))


def test_regions_order_saliency_and_area_are_stored(made: Path) -> None:
    for sequence in sequences_of(made):
        labels, facts = read_label_map(sequence.members["regions.png"]), sequence.facts
        assert labels.shape == (64, 96) and sequence.caption.endswith(", painted region by region")
        rows = facts["regions"]
        assert sorted(row["label"] for row in rows) == list(range(int(labels.max()) + 1))
        assert [row["area_px"] for row in rows] == [int((labels == row["label"]).sum()) for row in rows]
        assert rows[0]["saliency"] == max(row["saliency"] for row in rows) == 1


def test_the_gallery_shows_regions_and_their_order(made: Path) -> None:
    for card, sequence in zip(gather(made, 9, 96).cards, sequences_of(made), strict=True):
        assert [row[0] for row in card["regions"]["rows"]] == [row["label"] for row in sequence.facts["regions"]]
        assert card["regions"]["map"].startswith("UklGR")  # RIFF, of a WebP


@pytest.mark.parametrize("most", [3, 400])
def test_label_maps_come_back_whatever_their_depth(most: int) -> None:
    labels = np.random.default_rng(0).integers(0, most, (20, 30)).astype(np.uint16)
    np.testing.assert_array_equal(read_label_map(label_map_bytes(labels)), labels)


def _faults(
    sequence: StoredSequence, members: dict[str, bytes] | None = None, frames: np.ndarray | None = None
) -> list[str]:
    changed = StoredSequence(key=sequence.key, members={**sequence.members, **(members or {})})
    program = StrokeProgram.from_bytes(sequence.members["strokes.npz"])
    return list(region_faults(changed, program, sequence.frames() if frames is None else frames, 0))


def test_verify_finds_what_is_wrong_with_regions(made: Path) -> None:
    sequence = sequences_of(made)[0]
    assert _faults(sequence) == []
    labels = read_label_map(sequence.members["regions.png"])
    assert "label map" in _faults(sequence, {"regions.png": label_map_bytes(labels[::-1])})[0]
    facts: dict[str, Any] = sequence.facts
    swapped = {**facts, "regions": facts["regions"][::-1]}
    assert "order" in _faults(sequence, {"json": json.dumps(swapped).encode()})[0]
    wrong = {**facts, "regions": [{**row, "area_px": 1} for row in facts["regions"]]}
    assert "areas" in _faults(sequence, {"json": json.dumps(wrong).encode()})[0]
    frames = sequence.frames().copy()
    first = labels == facts["regions"][0]["label"]
    frames[-1][first] = 255 - frames[-1][first]
    assert "changes a region that was finished" in _faults(sequence, frames=frames)[0]
    with pytest.raises(ValueError, match=r"^regions\.png: not a grey picture$"):
        _faults(sequence, {"regions.png": b"none"})


def test_a_region_that_no_picture_has_refuses_the_run_with_its_reason(tmp_path: Path) -> None:
    overrides = ["renderer.order=user", "renderer.user_order=[999]"]
    with pytest.raises(Exception, match=r"2 of 2 inputs were refused.*renderer\.user_order=999"):
        synth.run(configured(tmp_path / "out", *overrides))
    assert "renderer.user_order=999" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_an_artist_begins_where_they_point(tmp_path: Path) -> None:
    overrides = ["renderer.order=user", "renderer.user_order=[[0.02,0.02],[0.5,0.98]]"]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    for sequence in sequences_of(tmp_path / "out"):
        labels = read_label_map(sequence.members["regions.png"])
        assert sequence.facts["regions"][0]["label"] == labels[1, 1]


def test_truth_is_refused_where_the_source_has_none(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    overrides = ["renderer.segment.method=truth", "source=folder", f"source.path={tmp_path}"]
    error = refusal(tmp_path / "out", *overrides)
    assert error.key == "renderer.segment.method" and "source=folder brings no label map" in str(error)


def test_a_depth_map_beside_the_picture_drives_back_to_front(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :32], picture[:, 32:64], picture[:, 64:] = (200, 40, 30), (40, 160, 60), (30, 60, 200)
    Image.fromarray(picture).save(folder / "bars.png")
    near = np.repeat(np.array([[60000, 100, 30000]], np.uint16), 32, axis=1)
    Image.fromarray(np.repeat(near, 64, axis=0)).save(folder / "bars.depth.png")
    overrides = ["source=folder", f"source.path={folder}", "num_sequences=1", "renderer.order=back_to_front"]
    config = configured(tmp_path / "out", *overrides)
    assert synth.run(config).exit_code == 0
    (sequence,) = sequences_of(tmp_path / "out")
    labels = read_label_map(sequence.members["regions.png"])
    assert [row["label"] for row in sequence.facts["regions"]] == [labels[30, x] for x in (48, 80, 16)]
    before = synth._plan(config).fingerprint()
    Image.fromarray(np.repeat(near[:, ::-1], 64, axis=0)).save(folder / "bars.depth.png")
    assert synth._plan(config).fingerprint() != before  # another data set
    (folder / "bars.depth.png").write_bytes(b"no map")
    with pytest.raises(Exception, match="refused"):
        synth.run(configured(tmp_path / "out2", *overrides))
    assert "depth map" in (tmp_path / "out2" / "quarantine.jsonl").read_text()


def test_sam_from_a_checkpoint_paints_and_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = mock.Mock(side_effect=small_sam)
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", build)
    overrides = [*SAM, f"renderer.segment.sam.checkpoint={save_small_sam(tmp_path / 'small.pth')}"]
    config = configured(tmp_path / "out", *overrides)
    assert set(config.renderers[0].assets.sha256) == {"sam"}
    assert synth.run(config).exit_code == 0 and build.call_count == 1
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0
    save_small_sam(tmp_path / "small.pth", seed=1)
    assert recipe_hash(configured(tmp_path / "out", *overrides).recipe()) != recipe_hash(config.recipe())


def test_a_checkpoint_that_changes_under_a_run_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", small_sam)
    path = save_small_sam(tmp_path / "moving.pth", seed=2)
    config = configured(tmp_path / "out", *SAM, f"renderer.segment.sam.checkpoint={path}")
    from pipelines.synthesis.networks import _sam

    _sam.cache_clear()
    save_small_sam(path, seed=3)
    with pytest.raises(Exception, match="refused"):
        synth.run(config)
    assert "changed since" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_bad_checkpoints_are_one_line_that_names_path_and_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_l", small_sam)
    key = "renderer.segment.sam.checkpoint"
    whole = save_small_sam(tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.pth").write_text("not a network")
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({"code": SamCode()}, tmp_path / "code.pth")
    for name in ("missing.pth", "cut.pth", "words.pth", "other.pth", "code.pth"):
        overrides = [*SAM, "renderer.segment.sam.variant=vit_l", f"{key}={tmp_path / name}"]
        error = refusal(tmp_path / "out", *overrides)
        assert error.key == key and name in str(error)
        assert name == "missing.pth" or "vit_l" in str(error)
    error = refusal(
        tmp_path / "out", *SAM, f"{key}={tmp_path / 'whole.pth'}", "renderer.segment.sam.variant=vit_l",
        "renderer.segment.sam.device=quantum",
    )  # fmt: skip
    assert error.key == "renderer.segment.sam.device"


class SamCode:
    """An object that a checkpoint must not contain."""


def onnx_network(path: Path, side: int) -> Path:
    """Red as saliency, and green as a second output; made of one square of `side`."""
    from onnx import TensorProto, checker, helper, save

    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])
    maps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, side, side]) for name in ("red", "green")]
    nodes = [helper.make_node("Split", ["image"], ["red", "green", "blue"], axis=1, num_outputs=3)]
    graph = helper.make_graph(nodes, "colours", [given], maps)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    save(model, path)
    return path


class Colours(torch.nn.Module):
    """The same as TorchScript; a convolution makes it choosy about channels only."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.sigmoid(image[:, :1]), torch.sigmoid(image[:, 1:2])


def torchscript_network(path: Path) -> Path:
    torch.jit.save(torch.jit.script(Colours()), path)
    return path


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_saliency_network_decides_what_comes_first(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = np.full((64, 96, 3), 90, np.uint8)
    picture[16:48, 14:38], picture[16:48, 58:82] = (230, 20, 20), (20, 230, 20)
    Image.fromarray(picture).save(folder / "two.png")
    path = onnx_network(tmp_path / "net.onnx", 32) if kind == "onnx" else torchscript_network(tmp_path / "net.pt")
    overrides = [
        *DEEP,
        f"renderer.saliency.network={path}",
        "source=folder",
        f"source.path={folder}",
        "num_sequences=1",
    ]
    for output, x in ((0, 26), (-1, 70)):
        out = tmp_path / f"out{output}"
        assert synth.run(configured(out, *overrides, f"renderer.saliency.output={output}")).exit_code == 0
        (sequence,) = sequences_of(out)
        assert sequence.facts["regions"][0]["label"] == read_label_map(sequence.members["regions.png"])[32, x]


def test_bad_saliency_networks_are_one_line(tmp_path: Path) -> None:
    key = "renderer.saliency.network"
    for name in ("missing.onnx", "words.onnx", "words.pt"):
        if name.startswith("words"):
            (tmp_path / name).write_text("not a network")
        error = refusal(tmp_path / "out", *DEEP, f"{key}={tmp_path / name}")
        assert error.key == key and name in str(error)
    network = onnx_network(tmp_path / "net.onnx", 48)
    error = refusal(tmp_path / "out", *DEEP, f"{key}={network}")
    assert error.key == "renderer.saliency.input_px" and "[1, 3, 48, 48]" in str(error)
    error = refusal(
        tmp_path / "out", *DEEP, f"{key}={torchscript_network(tmp_path / 'n.pt')}", "renderer.saliency.output=2"
    )
    assert error.key == "renderer.saliency.output"
    assert "network" in str(refusal(tmp_path / "out", *DEEP))


def test_shares_of_a_gpu_are_from_none_to_one() -> None:
    with pytest.raises(ConfigError, match="gpus_per_worker"):
        ClusterConfig(gpus_per_worker=2)


def test_a_mix_has_a_member_that_paints_by_regions(tmp_path: Path) -> None:
    overrides = ["renderer=mix", *(f"renderer.weights.{name}=0" for name in ("bezier", "oil", "ink", "studio"))]
    kept = [word for word in REGION if not word.startswith("renderer")]
    config = synth_config(compose("synth", [*kept, *overrides, f"out={tmp_path / 'out'}"]))
    assert [(choice.name, choice.phrase) for choice in config.renderers] == [("region", "painted region by region")]
    assert synth.run(config).exit_code == 0


def test_plain_webdataset_tools_see_the_label_map(made: Path) -> None:
    with tarfile.open(made / "shards" / "train-00000-of-00001.tar") as tar:
        (name, _) = sorted(name for name in tar.getnames() if name.endswith("regions.png"))
        member = tar.extractfile(name)
        assert member is not None
        assert Image.open(io.BytesIO(member.read())).size == (96, 64)


@pytest.mark.nightly
def test_vit_b_with_random_weights_paints_from_end_to_end(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(segment_anything.sam_model_registry["vit_b"]().state_dict(), tmp_path / "vit_b.pth")
    overrides = [*SAM, f"renderer.segment.sam.checkpoint={tmp_path / 'vit_b.pth'}", "num_sequences=1"]
    try:
        assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
        assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0
    finally:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
