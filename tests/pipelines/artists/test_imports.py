"""`ingest` of formats of others: MakeAnything, painvidpro, QuickDraw, Procreate, Krita's Recorder."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import fsspec
import h5py
import numpy as np
import pytest
from PIL import Image

from conf.errors import ConfigError, UserError
from pipelines.artists import hdf5_process
from pipelines.artists.config import CaptionConfig
from pipelines.artists.drawings import strokes_of
from pipelines.artists.find import ArtistSource, find_sequences
from pipelines.artists.hdf5 import _asked, archive_caption, read_archive
from pipelines.artists.procreate import read_procreate
from pipelines.sources.source import RefusedPicture
from tests.pipelines.artists.ingest_runs import ingest, refused, save, sequences, sheet_of, stages
from tests.pipelines.artists.time_lapse import write_video
from tests.pipelines.runs import assert_same, contents

TWO_UP = range(2, 401)


def jpeg(picture: Any) -> bytes:
    Image.fromarray(picture).save(out := io.BytesIO(), "JPEG", quality=85)
    return out.getvalue()


def write_archive(path: Path, pictures: list[Any], **attributes: Any) -> Path:
    """Write an archive as the source code of painvidpro's `DynamicVideoArchive` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        file.attrs.update(
            {key: json.dumps(value) if isinstance(value, list) else value for key, value in attributes.items()}
        )
        for name in ("frames", "reference_frames"):
            file.create_dataset(
                name, shape=(0,), maxshape=(None,), dtype=h5py.vlen_dtype(np.dtype("uint8")), chunks=(1,)
            )
            file.create_dataset(name[:-1] + "_metadata", shape=(0,), maxshape=(None,), dtype=h5py.string_dtype("utf-8"))
        for number, picture in enumerate(pictures):
            for name, value in (("frames", np.frombuffer(jpeg(picture), np.uint8)), ("frame_metadata", "{}")):
                file[name].resize(number + 1, axis=0)
                file[name][number] = value
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RefusedPicture) as caught:
        read_archive(str(path), 100, TWO_UP)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_makeanythings_captions_say_the_grid_and_are_freed_of_what_is_for_its_model(tmp_path: Path) -> None:
    nine, four = stages(9, seed=1), stages(4, seed=2)
    save(tmp_path / "in" / "portrait_001.png", sheet_of(nine, 3, 3, "boustrophedon"))
    save(tmp_path / "in" / "ink_002.png", sheet_of(four, 2, 2, "boustrophedon"))
    said = "3*3 of 9 sub-images, step-by-step portrait painting process, 1 girl"
    (tmp_path / "in" / "portrait_001.caption").write_text(f"{said} --lora_up 6\n")
    (tmp_path / "in" / "ink_002.caption").write_text("2*2 of 4 sub-images, step-by-step ink painting process, a crane")
    overrides = (
        f"source.path={tmp_path / 'in'}",
        "layout=grid",
        "num_frames=4",
        "gallery=false",
        f"out={tmp_path / 'out'}",
    )
    assert ingest(*overrides) == 0
    found = sequences(tmp_path / "out")
    assert found["portrait_001.png"].caption == "step-by-step portrait painting process, 1 girl"
    assert found["ink_002.png"].caption == "step-by-step ink painting process, a crane"
    notes = {name: each.facts["footage"]["grid"] for name, each in found.items()}
    assert (notes["portrait_001.png"]["rows"], notes["ink_002.png"]["columns"]) == (3, 2)
    assert [frame["step"] for frame in found["ink_002.png"].facts["frames"]] == [0, 1, 2, 3]
    plain = CaptionConfig(trigger="sks")
    (entry,) = find_sequences(ArtistSource(path=str(tmp_path / "in" / "ink_002.png")), "grid")
    assert plain.of(entry) == "step-by-step ink painting process, a crane, sks"


def test_painvidpros_archives_become_sequences_with_their_tags_as_captions(tmp_path: Path) -> None:
    painted = stages(8, seed=3)
    tags = [{"image_tagger": "ImageTaggerLLaVANeXT", "tag": "A boat\non a lake."}]
    write_archive(tmp_path / "in/youtube/abc-1/frame_data.h5", painted, reference_frame_tags=tags, exclude_video=False)
    write_archive(tmp_path / "in/youtube/abc_2/frame_data.h5", painted, exclude_video=True)
    out = tmp_path / "out"
    assert ingest(f"source.path={tmp_path / 'in'}", "layout=hdf5", "num_frames=4", "gallery=false", f"out={out}") == 3
    (sequence,) = sequences(out).values()
    assert sequence.caption == "A boat on a lake." and sequence.facts["source"]["id"] == "youtube/abc-1/frame_data.h5"
    assert sequence.facts["num_steps"] == 7
    assert refused(out) == {"youtube/abc_2/frame_data.h5": "its author excluded it (exclude_video)"}


def test_attributes_of_archives_mean_the_same_in_every_type_that_hdf5_has_for_them() -> None:
    tags = json.dumps([{"tag": "A boat."}])
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        for stored in (tags, tags.encode(), np.bytes_(tags), np.array([tags.encode()]), np.array([tags], object)):
            file.attrs["reference_frame_tags"] = stored
            assert json.loads(hdf5_process._tags(file)) == [{"tag": "A boat."}]
        file.attrs["exclude_video"] = ""
        assert not hdf5_process._is_excluded(file)
        for is_excluded in (False, True):
            number = int(is_excluded)
            for value in (is_excluded, number, float(number), np.bool_(number), np.array([is_excluded]), str(number)):
                for each in (value, str(is_excluded), str(is_excluded).lower().encode(), np.bytes_(str(is_excluded))):
                    file.attrs["exclude_video"] = each
                    assert hdf5_process._is_excluded(file) is is_excluded
        for unclear in ("maybe", np.array([True, False]), h5py.Empty("f")):
            file.attrs["exclude_video"] = unclear
            with pytest.raises(hdf5_process._Refused, match="exclude_video is neither true nor false"):
                hdf5_process._is_excluded(file)


def test_splits_by_id_take_only_their_sequences(tmp_path: Path) -> None:
    for number in range(3):
        write_archive(tmp_path / f"in/youtube/v{number}/frame_data.h5", stages(2, seed=number))
    (splits := tmp_path / "splits.json").write_text(
        json.dumps({"youtube": {"v0": "train", "v1": "eval", "v9": "train"}})
    )
    path = str(tmp_path / "in")
    train = find_sequences(ArtistSource(path=path, split_file=str(splits), split="train"), "hdf5")
    assert [entry.id for entry in train] == ["youtube/v0/frame_data.h5"]
    assert train.passed_over == ("2 sequences of other splits",)
    assert len(find_sequences(ArtistSource(path=path), "hdf5")) == 3
    for deeper in ("youtube", "youtube/v0", "youtube/v0/frame_data.h5"):
        below = ArtistSource(path=f"{path}/{deeper}", split_file=str(splits), split="train")
        assert len(find_sequences(below, "hdf5")) == 1
        with pytest.raises(ConfigError, match=r"split=test: .*splits\.json: eval, train$"):
            find_sequences(replace(below, split="test"), "hdf5")
    with pytest.raises(UserError, match=r"no sequence is in the split eval of .*splits\.json; it is found by source"):
        find_sequences(ArtistSource(path=f"{path}/youtube/v0", split_file=str(splits), split="eval"), "hdf5")
    for wrong in ("[1]", '{"youtube": 3}', '{"youtube": {"v0": 1}}', "{", '{"a": ' * 5000):
        splits.write_text(wrong)
        with pytest.raises(UserError, match=r"splits\.json: "):
            find_sequences(ArtistSource(path=path, split_file=str(splits), split="train"), "hdf5")
    with pytest.raises(ConfigError, match="split_file"):
        ArtistSource(path=path, split="train")


def test_archives_that_lead_elsewhere_or_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    secret = write_archive(tmp_path / "secret.h5", stages(3))
    bytes_of_files = h5py.vlen_dtype(np.dtype("uint8"))

    def broken(name: str, **links: Any) -> Path:
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            for key, link in links.items():
                file[key] = link
        return path

    assert "a link to elsewhere" in refusal(broken("external", frames=h5py.ExternalLink(str(secret), "/frames")))
    assert "a link to elsewhere" in refusal(broken("soft", frames=h5py.SoftLink("/other")))
    assert "has no frames" in refusal(broken("none"))
    assert "not bytes of pictures" in refusal(broken("numbers", frames=np.zeros((3, 4, 4, 3), np.uint8)))
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("frames")
    assert "not bytes of pictures" in refusal(tmp_path / "group.h5")
    (raw := tmp_path / "raw.bin").write_bytes(bytes(100))
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("frames", (10,), np.uint8, external=[(str(raw), 0, 10)])
    assert "archive of painvidpro" in refusal(tmp_path / "outside.h5")
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file.create_dataset("frames", (2,), bytes_of_files)[0] = np.frombuffer(b"<html>", np.uint8)
    assert "frame 0: not a picture" in refusal(tmp_path / "text.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_dataset("frames", (0,), bytes_of_files, maxshape=(None,))
    assert refusal(tmp_path / "empty.h5") == "holds no frames"
    whole = secret.read_bytes()
    for number, data in enumerate((b"", whole[:100], whole[: len(whole) // 2], b"x" * 4000)):
        (damaged := tmp_path / f"damaged{number}.h5").write_bytes(data)
        assert "damaged, or not an HDF5 file" in refusal(damaged)


def test_an_archive_that_keeps_the_library_busy_for_ever_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heap that `make fuzz` made: its objects are of no length, so that the library never comes to its end."""
    path = write_archive(tmp_path / "a.h5", stages(3), reference_frame_tags=[{"tag": "a boat"}])
    assert archive_caption(str(path)) == "a boat"
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL") + 16
    data[heap + 8 : heap + 16] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(data)
    monkeypatch.setattr("pipelines.artists.hdf5._MOST_CPU_S", 2)
    with pytest.raises(RefusedPicture, match="did not come to an end"):
        _asked(str(path), "caption")


CAT = [[[0, 255, 255], [0, 0, 100]], [[10, 20], [30, 90]], [[128], [50]]]


def line(drawing: Any = CAT, **fields: Any) -> str:
    return json.dumps({"word": "cat", "recognized": True, "key_id": "5152802093400064", "drawing": drawing} | fields)


def test_drawings_of_quickdraw_are_drawn_point_by_point_simplified_and_raw(tmp_path: Path) -> None:
    raw = [[[310.5, 900.25, 900.0], [12.0, 12.0, 240.0], [0, 90, 300]], [[400, 500], [80, 220], [500, 700]]]
    lines = [line(), line(key_id="77", recognized=False), line(raw, key_id="88"), "{broken", line([], key_id="99"), ""]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.ndjson").write_text("\n".join(lines))
    source = ArtistSource(path=str(tmp_path / "in"))
    listing = find_sequences(source, "drawings")
    names = ["cat.ndjson:5152802093400064", "cat.ndjson:88", "cat.ndjson:line 4", "cat.ndjson:99"]
    assert [entry.id for entry in listing] == names
    assert listing.passed_over == ("1 drawings of cat.ndjson that were not recognised",)
    assert len(find_sequences(ArtistSource(path=str(tmp_path / "in"), most_per_file=2), "drawings")) == 2
    overrides: tuple[str, ...] = (
        f"source.path={tmp_path / 'in'}",
        "layout=drawings",
        "num_frames=4",
        "gallery=false",
        "shard_size=1",
    )
    overrides += ("source.licence=CC-BY-4.0", "max_quarantined=1")
    assert ingest(*overrides, f"out={tmp_path / 'out'}") == 3
    found = sequences(tmp_path / "out")
    assert set(found) == set(names[:2]) and {each.caption for each in found.values()} == {"cat"}
    assert {reason for reason in refused(tmp_path / "out").values()} == {"not a drawing of Quick, Draw!: no strokes"}
    for name, num_points in zip(names[:2], (6, 5), strict=True):
        canvases = found[name].frames()
        assert found[name].facts["num_steps"] == num_points and canvases.shape == (4, 64, 64, 3)
        assert canvases[0].min() == 255 and canvases[-1].min() < 60
        ink = [int((canvas < 128).any(-1).sum()) for canvas in canvases]
        assert ink == sorted(ink) and 20 < ink[-1] < 600
        assert (np.diff(canvases.astype(int), axis=0) <= 0).all()  # ink stays
    assert ingest(*overrides, f"out={tmp_path / 'again'}") == 3
    next((tmp_path / "again" / "shards").glob("*.json")).unlink()
    assert ingest(*overrides, f"out={tmp_path / 'again'}") == 3
    assert_same(contents(tmp_path / "out"), contents(tmp_path / "again"))


def test_strokes_that_are_none_are_refused() -> None:
    assert [stroke.tolist() for stroke in strokes_of(line().encode())][1] == [[10, 30], [20, 90]]
    wrong: list[Any] = [
        None,
        3,
        {},
        [[]],
        [[[1, 2], [3]]],
        [[["a"], ["b"]]],
        [[[], []]],
        [[[1e9], [0]]],
        [[[[1]], [[2]]]],
    ]
    for drawing in (*wrong, [[[float("nan")], [0]]], [[[10**400], [0]]]):
        with pytest.raises(RefusedPicture, match="not a drawing"):
            strokes_of(line(drawing).encode())
    with pytest.raises(RefusedPicture, match="points"):
        strokes_of(line([[[1] * 100_001, [2] * 100_001]]).encode())
    for data in (b"", b"[]", b"[" * 100_000, b"\xff\xfe"):
        with pytest.raises(RefusedPicture, match="not a drawing"):
            strokes_of(data)


def test_a_line_longer_than_any_drawing_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(line().encode() + b"\n" + b"[" * 5_000_000)
    with pytest.raises(UserError, match=r"a\.ndjson, line 2: longer than"):
        find_sequences(ArtistSource(path=str(tmp_path)), "drawings")


def segments(path: Path, pictures: list[Any], sizes: tuple[int, ...]) -> Path:
    """A document as Procreate lays it out, its recording cut into segments of so many frames."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Document.archive", b"bplist00")
        archive.writestr("QuickLook/Thumbnail.png", b"")
        for number, size in reversed(list(enumerate(sizes, start=1))):
            video = write_video(path.with_suffix(f".{number}.mp4"), pictures[sum(sizes[: number - 1]) :][:size])
            archive.write(video, f"video/segments/segment-{number}.mp4")
            video.unlink()
    return path


def test_the_time_lapse_in_a_procreate_document_is_read_segment_after_segment(tmp_path: Path) -> None:
    painted = [cv2.resize(picture, (96, 80)) for picture in stages(14, seed=5)]
    (tmp_path / "in").mkdir()
    segments(tmp_path / "in" / "Boat.procreate", painted, (1,) * 14)  # 10 comes after 9
    footage = read_procreate(str(tmp_path / "in" / "Boat.procreate"), 64, TWO_UP)
    assert len(footage.frames) == 14
    errors = [[np.abs(frame.astype(int) - picture).mean() for picture in painted] for frame in footage.frames]
    assert [int(np.argmin(each)) for each in errors] == list(range(14))
    segments(tmp_path / "in" / "Long.procreate", painted, (9, 5))
    overrides = (
        f"source.path={tmp_path / 'in'}",
        "layout=video",
        "num_frames=4",
        "gallery=false",
        "treatment.clean=never",
    )
    assert ingest(*overrides, f"out={tmp_path / 'out'}") == 0
    assert set(sequences(tmp_path / "out")) == {"Boat.procreate", "Long.procreate"}


def test_procreate_documents_without_a_sound_recording_are_refused_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bare.procreate", "w") as archive:
        archive.writestr("Document.archive", b"bplist00")
    (tmp_path / "text.procreate").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "broken.procreate", "w") as archive:
        archive.writestr("video/segments/segment-1.mp4", b"no video")
    reasons = []
    for name in ("bare", "text", "broken"):
        with pytest.raises(RefusedPicture) as caught:
            read_procreate(str(tmp_path / f"{name}.procreate"), 64, TWO_UP)
        reasons.append(str(caught.value))
    assert "holds no time-lapse" in reasons[0] and "damaged" in reasons[1] and "not a video" in reasons[2]


def test_a_folder_of_kritas_recorder_is_a_sequence(tmp_path: Path) -> None:
    for number, picture in enumerate(stages(12, height=80, width=96)):
        save(tmp_path / "in" / "20261127093015" / f"{number:07d}.png", picture)
    overrides = (
        f"source.path={tmp_path / 'in'}",
        "layout=frames",
        "num_frames=4",
        "gallery=false",
        f"out={tmp_path / 'out'}",
    )
    assert ingest(*overrides) == 0
    assert sequences(tmp_path / "out")["20261127093015"].facts["num_steps"] == 11


def test_layered_documents_become_a_data_set_and_recordings_may_be_remote(tmp_path: Path) -> None:
    project = pytest.importorskip("pyora").Project.new(96, 80)
    for number, colour in enumerate(("skyblue", "green", "brown", "red")):
        project.add_layer(
            Image.new("RGBA", (60, 20 + 5 * number), colour), str(number), offsets=(8 * number, 15 * number)
        )
    project.save(str(tmp_path / "house.ora"))
    memory = fsspec.filesystem("memory")
    memory.pipe({"/documents/house.ora": (tmp_path / "house.ora").read_bytes(), "/documents/notes.md": b"x"})
    memory.pipe("/drawings/cat.ndjson", line().encode())
    out = tmp_path / "out"
    overrides = ("num_frames=4", "gallery=false", "caption.template=a painting of %name")
    assert ingest("source.path=memory://documents", "layout=layers", *overrides, f"out={out}") == 0
    (sequence,) = sequences(out).values()
    assert sequence.caption == "a painting of house" and sequence.facts["num_steps"] == 4
    assert ingest("source.path=memory://drawings", "layout=drawings", *overrides, f"out={tmp_path / 'cats'}") == 0
    assert len(sequences(tmp_path / "cats")) == 1
