"""Sequences read back: whole, or refused."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.manifest import ShardManifest, hash_file, tar_path
from training.data.sequence import parse_sequence, read_sequences
from training.data.shard import ShardWriter

KEY = "00000000"
MEMBERS = {"00.webp": b"w" * 700, "json": b"{}", "strokes.npz": b"s" * 512, "txt": b"a boat", "views.npz": b"v" * 10}


def tar_of(members: dict[str, bytes], key: str = KEY) -> bytes:
    """The bytes of one sequence, as in a shard."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{key}.{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()  # before the end of an archive, which a sequence within a shard has not


WHOLE = tar_of(MEMBERS)
HEADERS = [0, 1536, 2560, 3584, 4608]  # where those of the five members begin


def test_a_whole_sequence_is_read() -> None:
    assert parse_sequence(KEY, WHOLE).members == MEMBERS


# Before the last member it looks whole; only who knows its length can tell: `read_sequences`, tested below.
@given(st.integers(0, len(WHOLE) - 1).filter(lambda length: length != HEADERS[-1]))
def test_a_sequence_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        parse_sequence(KEY, WHOLE[:length])


@pytest.mark.parametrize("header", HEADERS)
@given(place=st.integers(0, 499), bit=st.integers(0, 7))
def test_a_bit_flipped_in_a_header_is_refused(header: int, place: int, bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[header + place] ^= 1 << bit
    try:
        found = parse_sequence(KEY, bytes(damaged))
    except ValueError:
        return
    assert found.members == MEMBERS  # a flip that the format does not notice may not change anything


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar_of({"json": b"{}", "txt": b""}, "00000001"), "found 00000001.json where 00000000 should be"),
        (tar_of({"txt": b""}), "no json member"),
        (tar_of({"json": b"{}"}), "no txt member"),
        (tar_of({"json": b"{}", "txt": b"\xe9"}), "txt: not UTF-8"),
        (WHOLE[:100], "a header is damaged"),
        (WHOLE[:-1], f"{len(WHOLE) - 1} bytes but its members end at {len(WHOLE)}"),
    ],
    ids=["key", "json", "txt", "utf8", "header", "length"],
)
def test_what_is_wrong_with_a_sequence_is_said(data: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_sequence(KEY, data)
    assert str(caught.value) == f"sequence {KEY}: {message}"


def test_what_is_no_file_in_a_tar_is_no_member() -> None:
    folder = tarfile.TarInfo(f"{KEY}.json")
    folder.type = tarfile.DIRTYPE
    with pytest.raises(ValueError, match=r": a member is not a file$"):
        parse_sequence(KEY, folder.tobuf(tarfile.USTAR_FORMAT))


@given(st.binary(max_size=4096))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_sequence(KEY, data)


@pytest.mark.parametrize("lacking", ["json", "txt"])
def test_a_sequence_that_lacks_a_member_is_refused(lacking: str) -> None:
    with pytest.raises(ValueError, match=f"no {lacking} member"):
        parse_sequence(KEY, tar_of({name: data for name, data in MEMBERS.items() if name != lacking}))


def test_another_sequence_s_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="found 00000001"):
        parse_sequence(KEY, tar_of(MEMBERS, key="00000001"))


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE])
def test_what_is_not_a_file_is_refused(kind: bytes) -> None:
    entry = tarfile.TarInfo(f"{KEY}.json")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(ValueError):
        parse_sequence(KEY, entry.tobuf(tarfile.USTAR_FORMAT))


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_bit_flipped_anywhere_in_a_shard_changes_its_hash(
    shard: tuple[Path, ShardManifest], place: int, bit: int
) -> None:
    root, manifest = shard
    data = bytearray(tar_path(root, manifest.name).read_bytes())
    data[place % len(data)] ^= 1 << bit
    damaged = root / "damaged.tar"
    damaged.write_bytes(data)
    assert hash_file(damaged) != manifest.sha256


@pytest.mark.parametrize("kept", [0, 512, HEADERS[-1], len(WHOLE) - 1])
def test_a_shard_cut_short_is_refused_at_the_sequence_that_lacks(kept: int, shard: tuple[Path, ShardManifest]) -> None:
    root, manifest = shard
    path = tar_path(root, manifest.name)
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: manifest.samples[1].offset + kept])
        sequences = read_sequences(root, manifest)
        assert next(sequences).members == MEMBERS
        with pytest.raises(ValueError, match="00000001"):
            next(sequences)
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShardManifest]:
    root = tmp_path_factory.mktemp("shard")
    (root / "shards").mkdir()
    with ShardWriter(root, "val-00000-of-00001") as writer:
        for number in range(2):
            writer.add(f"{number:08d}", MEMBERS)
        return root, writer.commit(split="val", first_index=0, num_planned=2, config_hash="", code_version="")
