"""`ingest layout=layers`: documents of other programs become processes of their layers, from bottom to top."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyora
import pytest
from krita4python import KraDocument, KraGroup, KraLayer, write_kra
from numpy.typing import NDArray
from PIL import Image
from psd_tools import PSDImage
from psd_tools.composite.blend import get_blend_func
from psd_tools.constants import BlendMode, ColorMode, Tag

from pipelines.artists.footage import Frame
from pipelines.artists.layers.blending import MODES, blended, clear
from pipelines.artists.layers.krita import unpacked
from pipelines.artists.layers.photoshop import canvases_of, opened_photoshop
from pipelines.artists.layers.reading import read_layers
from pipelines.exports import openraster, photoshop
from pipelines.sources.source import RefusedPicture
from tests.pipelines.exports.runs import grown, settings

Rgba = NDArray[np.uint8]


def frames(path: Path) -> list[Frame]:
    return list(read_layers(str(path), 1000, range(2, 401)).frames)


def refusal(path: Path) -> str:
    with pytest.raises(RefusedPicture) as caught:
        read_layers(str(path), 1000, range(2, 401))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def patch(height: int, width: int, colour: tuple[int, int, int], alpha: int = 255) -> Rgba:
    """A patch of one colour with a transparent upper left corner."""
    rgba = np.full((height, width, 4), (*colour, alpha), np.uint8)
    rgba[: height // 4, : width // 4] = 0
    return rgba


def laid(canvas: Frame, rgba: Rgba, left: int, top: int) -> Frame:
    """The canvas with a layer composited onto it by Pillow."""
    below = Image.fromarray(canvas).convert("RGBA")
    below.alpha_composite(Image.fromarray(rgba), (left, top))
    return np.asarray(below.convert("RGB"))


LAYERS = (
    (patch(90, 120, (90, 140, 200)), 0, 0),
    (patch(40, 50, (20, 160, 30), 128), 10, 30),
    (patch(20, 30, (250, 0, 9)), 70, 5),
)


def expected() -> list[Frame]:
    canvases = [np.full((90, 120, 3), 255, np.uint8)]
    for rgba, left, top in LAYERS:
        canvases.append(laid(canvases[-1], rgba, left, top))
    return canvases


def write_ora(path: Path) -> Path:
    project = pyora.Project.new(120, 90)
    for number, (rgba, left, top) in enumerate(LAYERS):
        project.add_layer(Image.fromarray(rgba), f"layer {number}", offsets=(left, top))
    project.save(str(path))
    return path


def write_krita(path: Path, **options: object) -> Path:
    layers = [
        KraLayer(name=f"layer {n}", image=Image.fromarray(rgba), x=x, y=y) for n, (rgba, x, y) in enumerate(LAYERS)
    ]
    write_kra(path, KraDocument(width=120, height=90, layers=layers))
    return path


def write_psd(path: Path) -> Path:
    document = PSDImage.frompil(Image.fromarray(expected()[-1]).convert("RGBA"))
    for number, (rgba, left, top) in enumerate(LAYERS):
        document.create_pixel_layer(Image.fromarray(rgba), name=f"layer {number}", top=top, left=left)
    document.save(path)
    return path


WRITERS = {"ora": write_ora, "kra": write_krita, "psd": write_psd}


@pytest.mark.parametrize("kind", WRITERS)
def test_layers_are_laid_on_white_paper_one_after_the_other(kind: str, tmp_path: Path) -> None:
    painted = frames(WRITERS[kind](tmp_path / f"boat.{kind}"))
    assert len(painted) == 4
    for frame, canvas in zip(painted, expected(), strict=True):
        assert int(np.abs(frame.astype(int) - canvas).max()) <= 1


@pytest.mark.parametrize("phases", [True, False])
@pytest.mark.parametrize(("ending", "write"), [("ora", openraster.write), ("psd", photoshop.write)])
def test_what_export_wrote_comes_back_frame_by_frame(ending: str, write: object, phases: bool, tmp_path: Path) -> None:
    process = grown(phases=phases)
    assert callable(write)
    write(process, settings(), tmp_path / f"a.{ending}")
    pictures = [frame.picture for frame in process.frames]
    distinct = [picture for n, picture in enumerate(pictures) if n == 0 or (picture != pictures[n - 1]).any()]
    painted = frames(tmp_path / f"a.{ending}")
    for frame, picture in zip(painted[-len(distinct) :], distinct, strict=True):
        np.testing.assert_array_equal(frame, picture)


def test_hidden_and_empty_layers_are_no_steps(tmp_path: Path) -> None:
    shown = KraLayer(name="shown", image=Image.fromarray(LAYERS[0][0]))
    hidden = KraLayer(name="hidden", image=Image.fromarray(LAYERS[1][0]), visible=False)
    empty = KraLayer(name="empty", image=Image.fromarray(np.zeros((64, 64, 4), np.uint8)))
    write_kra(tmp_path / "a.kra", KraDocument(width=120, height=90, layers=[shown, hidden, empty]))
    assert len(frames(tmp_path / "a.kra")) == 2


def test_what_is_clipped_to_a_layer_of_a_psd_is_laid_on_with_it(tmp_path: Path) -> None:
    base, clipped = Image.new("RGBA", (60, 50), "red"), Image.new("RGBA", (120, 90), "blue")
    shown = np.full((90, 120, 3), 255, np.uint8)
    shown[10:60, 20:80] = (0, 0, 255)
    document = PSDImage.frompil(Image.fromarray(shown).convert("RGBA"))
    document.create_pixel_layer(base, name="base", top=10, left=20)
    document.create_pixel_layer(clipped, name="clipped").clipping = True
    document.save(tmp_path / "a.psd")
    painted = frames(tmp_path / "a.psd")
    assert len(painted) == 2
    np.testing.assert_array_equal(painted[-1], shown)


def test_an_adjustment_of_a_psd_changes_what_is_below_it(tmp_path: Path) -> None:
    """psd-tools saves a whole picture without it, so that the canvases alone are compared."""
    document = PSDImage.frompil(Image.new("RGBA", (40, 40)))
    document.create_pixel_layer(Image.new("RGBA", (40, 40), (200, 30, 60, 255)), name="below")
    document.create_pixel_layer(Image.new("RGBA", (1, 1)), name="invert")._record.tagged_blocks.set_data(Tag.INVERT)
    document.create_pixel_layer(Image.new("RGBA", (10, 10), "white"), name="above")
    document.save(tmp_path / "a.psd")
    with opened_photoshop(str(tmp_path / "a.psd")) as opened:
        painted = [np.rint(canvas * 255).astype(int) for canvas in canvases_of(opened)]
    middle, corner = ([canvas[at, at].tolist() for canvas in painted] for at in (20, 2))
    assert middle == [[255, 255, 255], [200, 30, 60], [55, 225, 195], [55, 225, 195]]
    assert corner == [*middle[:3], [255, 255, 255]]


def test_groups_are_blended_as_one(tmp_path: Path) -> None:
    """Two opaque layers in a group of half opacity: the lower one does not show through the upper one."""
    inside = [
        KraLayer(name=name, image=Image.new("RGBA", (120, 90), colour))
        for name, colour in (("a", "red"), ("b", "blue"))
    ]
    merged = Image.new("RGBA", (120, 90), (127, 127, 255, 255))
    for passes, last in ((False, (127, 127, 255)), (True, (0, 0, 255))):
        group = KraGroup(name="g", children=inside, opacity=128, passthrough=passes)
        picture = merged if not passes else Image.new("RGBA", (120, 90), "blue")
        write_kra(tmp_path / "a.kra", KraDocument(width=120, height=90, layers=[group], merged_image=picture))
        painted = frames(tmp_path / "a.kra")
        assert len(painted) == 3 and np.abs(painted[-1][5, 5].astype(int) - last).max() <= 1


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"exclusion", "subtract", "linear-burn", "add", "soft-light"}))
def test_blending_is_that_of_pyora(mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    below = rng.integers(0, 256, (40, 40, 4)).astype(np.uint8)
    above = rng.integers(0, 256, (40, 40, 4)).astype(np.uint8)
    below[..., 3] = 255
    project = pyora.Project.new(40, 40)
    project.add_layer(Image.fromarray(below), "below")
    layer = project.add_layer(Image.fromarray(above), "above")
    layer.composite_op = "svg:src-over" if mode == "normal" else f"svg:{mode}"
    project.save(str(tmp_path / "a.ora"))
    rendered = np.asarray(project.get_image_data(use_original=False).convert("RGB"))
    assert int(np.abs(frames(tmp_path / "a.ora")[-1].astype(int) - rendered).max()) <= 3


@pytest.mark.parametrize("mode", ["exclusion", "subtract", "linear-burn", "add", "soft-light"])
def test_blending_is_that_of_psd_tools(mode: str) -> None:
    name = {"add": "LINEAR_DODGE"}.get(mode, mode.upper().replace("-", "_"))
    below, above = np.random.default_rng(0).random((2, 50, 50, 3)).astype(np.float32)
    blend = get_blend_func(BlendMode[name], ColorMode.RGB)
    np.testing.assert_allclose(MODES[mode](below, above), blend(below, above), atol=1e-3)


def test_every_mode_leaves_what_is_under_transparent_places_and_stays_in_range() -> None:
    rng = np.random.default_rng(1)
    rgba = rng.random((16, 16, 4)).astype(np.float32)
    rgba[:, :8, 3] = 0
    start = blended(clear(16, 16), rng.random((16, 16, 4)).astype(np.float32), 0, 0, "normal", 1.0)
    for mode in MODES:
        after = blended(start, rgba, 0, 0, mode, 0.7)
        np.testing.assert_array_equal(after[:, :8], start[:, :8])
        assert after.min() >= 0 and (after[..., :3] <= after[..., 3:] + 1e-5).all() and after.max() <= 1 + 1e-5
    erased = blended(start, np.ones((16, 16, 4), np.float32), -8, 0, "erase", 1.0)
    assert not erased[:, :8].any() and np.array_equal(erased[:, 8:], start[:, 8:])


def changed(path: Path, name: str, data: bytes | None) -> Path:
    """The same zip with one member changed, or left out."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members.pop(name, None)
    if data is not None:
        members[name] = data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return path


def test_layers_that_make_another_picture_are_refused_with_what_was_not_read(tmp_path: Path) -> None:
    path = write_ora(tmp_path / "a.ora")
    with zipfile.ZipFile(path) as archive:
        stack = archive.read("stack.xml")
    other = io.BytesIO()
    Image.new("RGB", (120, 90), "black").save(other, "PNG")
    assert "make another picture" in refusal(changed(path, "mergedimage.png", other.getvalue()))
    changed(path, "stack.xml", stack.replace(b'"1.0" composite-op="svg:src-over"', b'"1" composite-op="svg:hue"', 1))
    assert "not read, or drawn otherwise: layer 2 (blended as svg:hue)" in refusal(path)
    path = write_krita(tmp_path / "b.kra")
    with zipfile.ZipFile(path) as archive:
        document = archive.read("maindoc.xml")
    changed(path, "maindoc.xml", document.replace(b"paintlayer", b"shapelayer"))
    assert "layer 0 (shapelayer)" in refusal(path)
    for attribute, named in (
        ("channelflags='1110'", "switched-off channels (such as inherited alpha)"),
        ("keyframes='layer0.keyframes.xml'", "animation"),
        ("layerstyle='{1}'", "layer style"),
    ):
        changed(path, "maindoc.xml", document.replace(b"<layer ", f"<layer {attribute} ".encode(), 1))
        changed(path, "mergedimage.png", other.getvalue())
        assert f"not read, or drawn otherwise: {named} of layer 2" in refusal(path)


def test_kritas_default_pixel_fills_what_no_tile_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.kra"
    background = KraLayer(name="Background", image=None)
    filled = Image.new("RGBA", (120, 90), (10, 20, 30, 255))
    write_kra(path, KraDocument(width=120, height=90, layers=[background], merged_image=filled))
    changed(path, "a/layers/Background.defaultpixel", bytes([30, 20, 10, 255]))
    painted = frames(path)
    assert len(painted) == 2 and painted[-1][50, 50].tolist() == [10, 20, 30]


def test_kritas_pixels_of_sixteen_bits_are_read(tmp_path: Path) -> None:
    path = write_krita(tmp_path / "a.kra")
    planes = np.zeros((8, 64, 64), np.uint8)  # low and high bytes of blue, green, red, alpha
    for channel, value in enumerate((65535, 0, 32896, 65535)):
        planes[2 * channel], planes[2 * channel + 1] = value & 255, value >> 8
    tile = b"\0" + planes.tobytes()
    head = b"VERSION 2\nTILEWIDTH 64\nTILEHEIGHT 64\nPIXELSIZE 8\nDATA 1\n"
    changed(path, "a/layers/layer_0", head + b"-32,-32,LZF,%d\n" % len(tile) + tile)
    with zipfile.ZipFile(path) as archive:
        document = archive.read("maindoc.xml").decode()
    lone = (
        document[: document.index("<layer ")]
        + '<layer name="x" nodetype="paintlayer" colorspacename="RGBA16" filename="layer_0" />'
    )
    changed(path, "maindoc.xml", (lone + document[document.index("</layers>") :]).encode())
    merged = np.full((90, 120, 3), 255, np.uint8)
    merged[:32, :32] = (128, 0, 255)
    Image.fromarray(merged).save(out := io.BytesIO(), "PNG")
    np.testing.assert_array_equal(frames(changed(path, "mergedimage.png", out.getvalue()))[-1], merged)


def test_lzf_is_unpacked_as_packed_and_never_beyond_its_size() -> None:
    lzf = pytest.importorskip("krita4python.lzf")
    rng = np.random.default_rng(0)
    for content in (bytes(16384), rng.integers(0, 4, 16384).astype(np.uint8).tobytes(), b"abc" * 3000):
        packed = lzf.compress(content)
        assert packed is not None and unpacked(packed, len(content)) == content
    bomb = b"\0a" + b"\xe0\xff\0" * 100_000  # 264 bytes each
    assert len(unpacked(bomb, 1000)) < 1300
    for damaged in (b"\x20", b"\x20\x05", b"\xe0"):
        with pytest.raises(RefusedPicture):
            unpacked(damaged, 100)


def test_hostile_and_broken_documents_are_refused_in_one_line(tmp_path: Path) -> None:
    ora, kra, psd = (WRITERS[kind](tmp_path / f"a.{kind}") for kind in ("ora", "kra", "psd"))
    zeros = bytes(1 << 24)
    cases = [
        (ora, "stack.xml", b"<image"), (ora, "stack.xml", b"<image w='1' h='1'/>"), (ora, "stack.xml", None),
        (ora, "stack.xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><image w='9' h='9'><stack/></image>"),
        (ora, "stack.xml", b"<image w='99999' h='99999'><stack/></image>"),
        (ora, "stack.xml", b"<image w='nan' h='9'><stack/></image>"),
        (ora, "stack.xml", b"<image w='-120' h='-90'><stack/></image>"),
        (ora, "stack.xml", b"<image w='0' h='-90'><stack/></image>"),
        (kra, "maindoc.xml", b"<DOC><IMAGE width='-120' height='-90'><layers/></IMAGE></DOC>"),
        (ora, "stack.xml", b"<image w='99' h='99'><stack>" + b"<layer/>" * 30_000 + b"</stack></image>"),
        (ora, "stack.xml", b"<image w='99' h='99'>" + b"<stack>" * 100 + b"</stack>" * 100 + b"</image>"),
        (ora, "stack.xml", b"<image w='99' h='99'><stack><layer src='../../etc/passwd'/></stack></image>"),
        (ora, "mergedimage.png", None), (ora, "mergedimage.png", zeros), (ora, "stack.xml", zeros + b" "),
        (kra, "maindoc.xml", b"<DOC/>"), (kra, "a/layers/layer_1", b"VERSION 2\n"), (kra, "a/layers/layer_1", None),
        (kra, "a/layers/layer_1", b"VERSION 2\nTILEWIDTH 64\nTILEHEIGHT 64\nPIXELSIZE 4\nDATA 1\n0,0,LZF,9999\n\1abc"),
    ]  # fmt: skip
    for path, name, data in cases:
        whole = path.read_bytes()
        assert refusal(changed(path, name, data))
        path.write_bytes(whole)
    for path in (ora, kra, psd):
        whole = path.read_bytes()
        for damaged in (b"", whole[:200], whole[: len(whole) // 2], b"x" * 500):
            path.write_bytes(damaged)
            assert refusal(path)


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(write_ora(tmp_path / "a.ora"), "mergedimage.png", bytes(3_000_000))
    monkeypatch.setattr("pipelines.artists.archive.Archive.read.__defaults__", (1_000_000,))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *args: b"<image w='9' h='9'><stack/></image>")
    assert "mergedimage.png unpacks to 3000000 bytes, more than 1000000" in refusal(path)


def test_without_psd_tools_a_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psd_tools", None)
    assert "pip install 'process-painter[import]'" in refusal(tmp_path / "a.psd")
