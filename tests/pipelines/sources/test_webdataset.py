import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import webdataset
from PIL import Image

from conf.errors import UserError
from pipelines.sources.framing import Framing
from pipelines.sources.source import RefusedPicture, StorageFault
from pipelines.sources.webdataset import WebDatasetSource

FRAMING = Framing(height_px=64, width_px=64)


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, kind)
    return out.getvalue()


def tar_bytes(members: Iterable[tuple[str, bytes]], **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def samples(*keys: str) -> list[tuple[str, bytes]]:
    return [
        (f"{key}.{end}", data)
        for key in keys
        for end, data in (("jpg", picture(kind="JPEG")), ("txt", b"a " + key.encode()))
    ]


def one_line_error(source: WebDatasetSource) -> str:
    with pytest.raises(UserError) as caught:
        source.index(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def source_of(path: Path, members: Iterable[tuple[str, bytes]]) -> WebDatasetSource:
    path.write_bytes(tar_bytes(members))
    return WebDatasetSource(path=str(path))


def test_what_webdataset_writes_is_read_in_its_order(tmp_path: Path) -> None:
    colours = ["red", "blue", "lime"]
    with webdataset.TarWriter(str(tmp_path / "train-0.tar")) as writer:
        for n, colour in enumerate(colours):
            writer.write({"__key__": f"k{2 - n}", "png": picture(colour), "txt": colour, "json": {"license": f"L{n}"}})
    source = WebDatasetSource(path=str(tmp_path / "train-0.tar"))
    entries = source.index(None)
    assert [entry.id for entry in entries] == ["train-0.tar:k2", "train-0.tar:k1", "train-0.tar:k0"]
    assert [entry.caption for entry in entries] == colours
    assert [entry.licence for entry in entries] == ["L0", "L1", "L2"]
    assert [entry.sha256 for entry in entries] == [hashlib.sha256(picture(colour)).hexdigest() for colour in colours]
    rgb = [source.load(entry, FRAMING).image[9, 9].tolist() for entry in entries]
    assert rgb == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_pictures_are_loaded_from_their_place_and_not_by_reading_the_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path / "a.tar", samples("x", "y"))
    entry = source.index(None)[1]
    place = json.loads(entry.locator)
    whole = (tmp_path / "a.tar").read_bytes()
    assert whole[place["offset"] :][: place["length"]] == picture(kind="JPEG")
    monkeypatch.setattr(tarfile, "open", None)
    assert source.load(entry, FRAMING).image.shape == (64, 64, 3)


@pytest.mark.parametrize("pattern", ["", "/t-{0..2}.tar", "/t-*.tar", "/t-[0-2].tar", "/{t-2,t-0,t-1,t-0}.tar"])
def test_folders_braces_and_globs_give_all_tars_sorted(tmp_path: Path, pattern: str) -> None:
    for n in (2, 0, 1):
        (tmp_path / f"t-{n}.tar").write_bytes(tar_bytes(samples(f"k{n}")))
    (tmp_path / "t-0.json").write_text("{}")
    entries = WebDatasetSource(path=f"{tmp_path}{pattern}").index(None)
    assert [entry.id for entry in entries] == ["t-0.tar:k0", "t-1.tar:k1", "t-2.tar:k2"]


def test_tars_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.tar").write_bytes(tar_bytes(samples("k")))
    for path in (tmp_path, f"{tmp_path}/{{a,b}}/0.tar"):
        assert [entry.id for entry in WebDatasetSource(path=str(path)).index(None)] == ["a/0.tar:k", "b/0.tar:k"]


def test_more_tars_than_readers_keep_their_order_and_limit_stops_early(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"{n:02}.tar").write_bytes(tar_bytes(samples(f"{n:02}a", f"{n:02}b")))
    source = WebDatasetSource(path=str(tmp_path))
    everything = source.index(None)
    assert [entry.caption for entry in everything] == [f"a {n:02}{letter}" for n in range(20) for letter in "ab"]
    assert source.index(5) == everything[:5]
    (tmp_path / "19.tar").write_bytes(b"damaged, and never read")
    assert source.index(5) == everything[:5]


def test_a_sample_is_its_first_picture_captioned_by_text_before_json(tmp_path: Path) -> None:
    about = json.dumps({"caption": "from json", "url": "http://x", "licence": "CC-BY", "width": 9}).encode()
    source = source_of(
        tmp_path / "a.tar",
        [
            ("d/both.json", about),
            ("d/both.PNG", picture()),
            ("d/both.txt", b"from text"),
            ("d/json.png", picture()),
            ("d/json.json", about),
            ("bare.webp", picture(kind="WEBP")),
            ("bare.png", b"second, does not count"),
            ("bare.seg.png", b"not the picture"),
            ("failed.json", b"{}"),
            ("._bare.png", b"hidden"),
            ("readme", b"no key"),
        ],
    )
    entries = source.index(None)
    assert entries[-1].sha256 == hashlib.sha256(picture(kind="WEBP")).hexdigest()
    assert {entry.id: (entry.caption, entry.licence) for entry in entries} == {
        "a.tar:d/both": ("from text", "CC-BY"),
        "a.tar:d/json": ("from json", "CC-BY"),
        "a.tar:bare": (None, None),
    }


def test_pickles_in_a_tar_are_never_opened(tmp_path: Path) -> None:
    bomb = b"cbuiltins\nexec\n(S'raise SystemExit'\ntR."
    source = source_of(tmp_path / "a.tar", [("k.pyd", bomb), ("k.pickle", bomb), ("k.png", picture())])
    (entry,) = source.index(None)
    assert source.load(entry, FRAMING).image.shape == (64, 64, 3)


def test_what_only_claims_to_be_a_picture_is_refused_when_loaded(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a.tar", [("empty.jpg", b""), ("page.jpg", b"<html>"), ("z.png", picture())])
    reasons = []
    for entry in source.index(None)[:2]:
        with pytest.raises(RefusedPicture) as caught:
            source.load(entry, FRAMING)
        reasons.append(str(caught.value))
    assert "empty" in reasons[0] and "not a picture" in reasons[1]


def test_a_tar_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a.tar", [("k.png", picture("red"))])
    (entry,) = source.index(None)
    source_of(tmp_path / "a.tar", [("k.png", picture("blue"))])
    with pytest.raises(RefusedPicture, match="changed since the run was planned"):
        source.load(entry, FRAMING)


def test_a_truncated_tar_is_named_wherever_it_was_cut(tmp_path: Path) -> None:
    members = [("a.png", picture()), ("a.txt", b"one"), ("b.png", picture()), ("b.json", b"{}")]
    whole = tar_bytes(members)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        end_mark = max(info.offset_data + 512 for info in tar)  # every member fits in one block
    path = tmp_path / "cut.tar"
    for length in (0, 100, 511, *range(512, end_mark, 256), end_mark):
        path.write_bytes(whole[:length])
        message = one_line_error(WebDatasetSource(path=str(path)))
        assert str(path) in message and "truncated" in message, length
    path.write_bytes(whole[: end_mark + 512])  # one block of the end mark is enough
    assert len(WebDatasetSource(path=str(path)).index(None)) == 2


def test_limit_reads_no_further_than_its_last_picture_but_that_one_whole(tmp_path: Path) -> None:
    whole = tar_bytes(samples("a", "b"))
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        after_a, in_a = tar.getmember("b.txt").offset + 100, tar.getmember("a.jpg").offset_data + 100
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[:after_a])
    assert [entry.id for entry in WebDatasetSource(path=str(path)).index(1)] == ["cut.tar:a"]
    path.write_bytes(whole[:in_a])
    with pytest.raises(UserError, match=r"cut\.tar"):
        WebDatasetSource(path=str(path)).index(1)


def test_a_tar_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    damaged = bytearray(tar_bytes(samples("a", "b")))
    with tarfile.open(fileobj=io.BytesIO(bytes(damaged))) as tar:
        damaged[tar.getmember("b.jpg").offset + 150] ^= 0xFF  # its header's checksum
    (tmp_path / "bad.tar").write_bytes(damaged)
    assert "bad.tar: truncated or damaged" in one_line_error(WebDatasetSource(path=str(tmp_path / "bad.tar")))


def test_a_compressed_tar_and_a_picture_are_no_tars(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    (tmp_path / "b.png").write_bytes(picture())
    for name in ("a.tar.gz", "b.png"):
        assert "not a plain tar" in one_line_error(WebDatasetSource(path=str(tmp_path / name)))


def test_missing_and_bare_sources_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "t-0.tar").write_bytes(tar_bytes([("a.txt", b"words only")]))
    assert one_line_error(WebDatasetSource(path=f"{tmp_path}/gone.tar")) == f"{tmp_path}/gone.tar: missing"
    assert "t-1.tar" in one_line_error(WebDatasetSource(path=f"{tmp_path}/t-{{0..1}}.tar"))
    assert "holds no tars" in one_line_error(WebDatasetSource(path=f"{tmp_path}/none"))
    assert "holds no pictures" in one_line_error(WebDatasetSource(path=f"{tmp_path}/t-0.tar"))


def test_members_that_lie_apart_are_refused_with_advice(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a.tar", [("a.png", picture()), ("b.png", picture()), ("a.txt", b"late")])
    assert "members of a lie apart" in one_line_error(source)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("k.txt", b"caf\xe9", "k.txt: not UTF-8"),
        ("k.json", b"\xff", "k.json: not UTF-8"),
        ("k.json", b"{oops", "k.json: not JSON"),
        ("k.json", b'["a lake"]', "k.json: not a JSON object"),
        ("k.json", b'{"caption": [1]}', "k.json: caption is not text"),
        ("k.json", b'{"license": 3}', "k.json: license is not text"),
    ],
)
def test_a_sample_whose_caption_cannot_be_read_is_refused_alone(
    tmp_path: Path, member: str, content: bytes, message: str
) -> None:
    source_of(tmp_path / "a.tar", [("k.png", picture()), (member, content), *samples("l")])
    source = WebDatasetSource(path=str(tmp_path / "a.tar"), require_captions=True)
    bad, good = source.index(None)
    with pytest.raises(RefusedPicture, match=f"^{message}"):
        source.load(bad, FRAMING)
    assert source.load(good, FRAMING).image.shape == (64, 64, 3) and good.caption == "a l"


@pytest.mark.parametrize(("captions", "caption"), [(["a lake", 3], "a lake"), ([["a"], "b"], "a"), ([], None)])
def test_of_a_list_of_captions_the_first_counts(tmp_path: Path, captions: list[Any], caption: str | None) -> None:
    members = [("k.png", picture()), ("k.json", json.dumps({"caption": captions}).encode())]
    (entry,) = source_of(tmp_path / "a.tar", members).index(None)
    assert (entry.caption, entry.fault) == (caption, None)


def test_required_captions_that_lack_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    source_of(tmp_path / "a.tar", [*samples("a"), ("b.png", picture()), ("c.png", picture())])
    message = one_line_error(WebDatasetSource(path=str(tmp_path / "a.tar"), require_captions=True))
    assert "2 of 3" in message and "a.tar:b" in message


def test_tars_at_urls_are_read_like_files() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/tars/t-{n}.tar": tar_bytes([(f"k{n}.png", picture("blue"))]) for n in range(3)})
    for path in ("memory://tars", "memory://tars/t-{0..2}.tar", "memory://tars/t-*.tar"):
        source = WebDatasetSource(path=path)
        entries = source.index(None)
        assert [entry.id for entry in entries] == ["t-0.tar:k0", "t-1.tar:k1", "t-2.tar:k2"]
        np.testing.assert_array_equal(source.load(entries[2], FRAMING).image[5, 5], (0, 0, 1))


def test_keys_with_dots_are_keys_unless_webdataset_s_convention_finds_a_sample(tmp_path: Path) -> None:
    source = source_of(
        tmp_path / "a.tar",
        [
            *samples("0001", "0002 study v2.0 (final)", "0002 study v2.5", "a.b/0003", "c.d/0004.x"),
            ("k.seg.png", b"not a picture of its own"),
            ("k.txt", b"only words"),
        ],
    )
    listing = source.index(None)
    keys = ["0001", "0002 study v2.0 (final)", "0002 study v2.5", "a.b/0003", "c.d/0004.x"]
    assert [(entry.id, entry.caption) for entry in listing] == [(f"a.tar:{key}", f"a {key}") for key in keys]
    assert listing.passed_over == ("a.tar:k",)


@pytest.mark.parametrize("member", ["k.txt", "k.caption", "k.jpg.txt"])
def test_captions_in_tars_are_found_under_all_their_usual_names(tmp_path: Path, member: str) -> None:
    source = source_of(tmp_path / "a.tar", [("k.jpg", picture(kind="JPEG")), (member, b"a lake")])
    assert [entry.caption for entry in source.index(None)] == ["a lake"]


def test_a_tar_that_is_gone_is_not_held_against_its_pictures(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a.tar", samples("x"))
    (entry,) = source.index(None)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(StorageFault, match=r"a\.tar: gone"):
        source.load(entry, FRAMING)


def test_what_is_not_read_of_a_tar_is_named_and_what_is_hidden_is_left_alone(tmp_path: Path) -> None:
    members = [
        *[("./a.png", picture()), ("./a.webp", b"second"), ("./a.cls", b"3"), ("./README", b"no key")],
        *[("._a.png", b"hidden"), ("./b.png", picture()), ("./b.txt", b"b"), (".h/z.jpg", picture())],
        ("failed.cls", b"3"),
    ]
    listing = source_of(tmp_path / "a.tar", members).index(None)
    assert [entry.id for entry in listing] == ["a.tar:./a", "a.tar:./b"]
    assert sorted(listing.passed_over) == ["a.tar:./README", "a.tar:./a.cls", "a.tar:./a.webp", "a.tar:failed"]


def test_tars_in_capitals_count_and_what_lies_beside_them_is_named(tmp_path: Path) -> None:
    for name in ("a.tar", "b.TAR"):
        (tmp_path / name).write_bytes(tar_bytes(samples(name[0])))
    (tmp_path / "list.txt").write_text("a, b")
    listing = WebDatasetSource(path=str(tmp_path)).index(None)
    assert [entry.id for entry in listing] == ["a.tar:a", "b.TAR:b"] and listing.passed_over == ("list.txt",)
