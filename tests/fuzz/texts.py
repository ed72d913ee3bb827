"""Readers of archives, captions and command lines."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from conf.compose import compose
from conf.printable import printable, shell_words
from conf.value import read_value
from pipelines.pages.html import embed_json
from pipelines.sources.captions import json_annotation, table_annotations, text_annotation
from pipelines.sources.framing import Framing
from pipelines.sources.source import RefusedPicture
from pipelines.sources.webdataset import WebDatasetSource
from pipelines.synthesis.config import synth_config
from tests.fuzz.mutations import mutated, mutated_document, tar
from tests.fuzz.pictures import pictures
from tests.fuzz.target import Target

_NAMES = (
    "a.png", "a.jpg", "a.txt", "a.json", "a.caption", "a.jpg.txt", "b.png", "../../etc/a.png", "/a.png", ".a.png",
    "a.pyd", "a", "", "x\n\x1b[2J.png", "\udce9.png", "x" * 200 + ".png", "a/b/c.d.png", "-rf.png", "$(reboot).png",
    "a.png\0.txt",
)  # fmt: skip
_FIELDS = {
    "size": slice(124, 136), "kind": slice(156, 157), "link": slice(157, 257), "name": slice(0, 100),
    "magic": slice(257, 265), "prefix": slice(345, 500),
}  # fmt: skip
_FIELD_VALUES = (
    b"77777777777\0", b"\x80" + (2**60).to_bytes(11, "big"), b"\xff" * 12, b"\xff" * 10 + b"\xfc\0", b"-1", b"", b"x",
    b"1", b"2", b"3", b"5", b"6", b"7", b"g", b"K", b"L", b"S", b"/etc/passwd", b"../" * 30, b"\xff\xfe\0",
)  # fmt: skip
_RECORD = {"file_name": "a.png", "text": "a red house", "licence": "CC0-1.0", "width": 3, "similarity": 0.5}
_TABLE = b'file_name,text,licence\na.png,"a house, red",CC0-1.0\nb.png,,\n'


@st.composite
def _tars(draw: DrawFn) -> bytes:
    contents = st.sampled_from(
        [pictures()["png"], pictures()["jpeg"], b"a caption", b'{"caption": "x"}', b"", b"\x80\x04."]
    )
    members = draw(st.lists(st.tuples(st.sampled_from(_NAMES), contents), max_size=6))
    numbers = st.integers(0, max(0, len(members) - 1))
    fields = st.tuples(st.sampled_from(list(_FIELDS.values())), st.sampled_from(_FIELD_VALUES))
    data = tar(members, draw(st.dictionaries(numbers, fields, max_size=2)))
    return draw(mutated([data])) if draw(st.booleans()) else data


def _read_tar(data: bytes, folder: Path) -> None:
    (folder / "a.tar").write_bytes(data)
    source = WebDatasetSource(path=str(folder / "a.tar"), max_pixels=1_000_000)
    for entry in source.index(None):
        (entry.id + (entry.caption or "") + (entry.licence or "")).encode()
        try:
            source.load(entry, Framing(height_px=16, width_px=16, fit="crop"))
        except RefusedPicture:
            continue


def _read_captions(data: bytes, _: Path) -> None:
    notes = [json_annotation(data, "a.json")]
    _write(notes)


def _read_text(data: bytes, _: Path) -> None:
    caption = text_annotation(data, "a.txt").caption or ""
    assert caption == " ".join(caption.split()) and not any(ord(letter) < 32 for letter in caption)


def _read_jsonl(data: bytes, _: Path) -> None:
    _write(note for _, note in table_annotations("metadata.jsonl", data, "metadata.jsonl"))


def _read_csv(data: bytes, _: Path) -> None:
    _write(note for _, note in table_annotations("captions.csv", data, "captions.csv"))


def _write(notes: Any) -> None:
    """Write captions as the project does: as text in files, JSON, pages and terminals."""
    for note in notes:
        for text in (note.caption or "", note.licence or "", note.fault or ""):
            text.encode()
            page = embed_json({"caption": text})
            assert "<" not in page and "&" not in page and ">" not in page
            assert printable(text).isprintable() or "\n" not in printable(text)


def _read_words(data: bytes, _: Path) -> None:
    """Read a command line from an untrusted source."""
    words = [word for word in data.decode("utf-8", "surrogateescape").split("\0") if word]
    for word in words:
        read_value(word)
        shell_words(word)
    synth_config(compose("synth", words))


def _words() -> Any:
    keys = st.sampled_from(
        ("source.path", "out", "size", "seed", "num_frames", "source", "renderer", "licence", "+a", "")
    )
    values = st.text(max_size=30) | st.sampled_from(
        (
            "${oc.env:HOME}",
            "${hydra:runtime.cwd}",
            "!!python/object/apply:os.system [id]",
            "&a [*a]",
            "[" * 500,
            "{0: [1}",
        )
    )
    words = st.builds("{}={}".format, keys, values) | st.text(max_size=20)
    return st.lists(words, max_size=4).map(lambda chosen: "\0".join(chosen).encode("utf-8", "surrogatepass"))


TARGETS = {
    "archive": Target(files=_tars, read=_read_tar),
    "caption-text": Target(files=lambda: st.binary(max_size=100) | mutated([b"a red house"]), read=_read_text),
    "caption-json": Target(files=lambda: mutated_document(_RECORD), read=_read_captions),
    "caption-jsonl": Target(files=lambda: mutated_document(_RECORD), read=_read_jsonl),
    "caption-csv": Target(files=lambda: mutated([_TABLE]), read=_read_csv),
    "words": Target(files=_words, read=_read_words),
}
