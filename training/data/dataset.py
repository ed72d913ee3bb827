"""A data set folder as a whole: what it is, its manifests, and the tables made from them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NotRequired

from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.layout import (
    SCHEMA_VERSION,
    SPLITS,
    dataset_file,
    is_shard_name,
    quarantine_file,
    samples_file,
    shards_folder,
    timings_folder,
)
from training.data.manifest import (
    ShardManifest,
    hash_file,
    manifest_path,
    read_checked_manifest,
    to_json,
    write_atomically,
)
from training.data.plain import CLOSED, OPEN, Count, Number, parse_object, shaped
from training.data.remote import AnyPath, RemotePath, answers
from training.data.retries import retried
from training.data.seal import CHECKSUM, is_sealed, sealed


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """`dataset.json`: written when a run begins, and with its totals when it is complete.

    Attributes:
        recipe: everything that decided the bytes.
        config_hash: hash of the recipe and of the source's pictures.
        shards: names of all shards planned.
        totals: None until the run is complete.
        manifests: name of a shard -> SHA-256 of its manifest; with the checksum of the card itself, the root of all
            hashes. None until the run is complete, and in data sets of the first version.
    """

    recipe: dict[str, Any]
    config_hash: str
    code_version: str
    shards: tuple[str, ...]
    num_planned: int
    totals: dict[str, Any] | None = None
    manifests: dict[str, str] | None = None
    schema_version: int = SCHEMA_VERSION

    def write(self, root: AnyPath) -> None:
        """Write it, whole or not at all."""
        write_atomically(dataset_file(root), self._document())

    def begin(self, root: AnyPath) -> None:
        """The same where there is none yet.

        Raises:
            UserError: if another run has put its own into a folder of an object store at this moment.
        """
        path = dataset_file(root)
        if not isinstance(path, RemotePath):
            self.write(root)
        elif not path.create(self._document()):
            raise UserError(f"{root}: another run has begun a data set here at this moment")

    def _document(self) -> bytes:
        fields = asdict(self)
        if self.manifests is None:
            del fields["manifests"]
            return to_json(fields).encode()
        return sealed(to_json(fields))

    def completed(self, root: AnyPath, manifests: Sequence[ShardManifest]) -> "DatasetCard":
        """The same with totals and hashes when all shards are there; without them as long as some lack."""
        if len(manifests) < len(self.shards):
            return replace(self, totals=None, manifests=None)
        hashes = {manifest.name: hash_file(manifest_path(root, manifest.name)) for manifest in manifests}
        return replace(self, totals=dataset_totals(manifests), manifests=hashes)


class DamagedCard(UserError):
    """The `dataset.json` is not what was written."""


class _Totals(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    num_sequences: Count
    num_shards: Count
    num_bytes: Count
    num_quarantined: Count
    splits: dict[str, Count]
    renderers: dict[str, Count]
    licences: dict[str, Count]


class _Renderer(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    name: str
    phrase: str


class _Recipe(TypedDict):
    """The part of a recipe that readers use."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    renderers: NotRequired[list[_Renderer]]
    source: NotRequired[dict[str, Any]]
    schedule: NotRequired[dict[str, Any]]


class _StoredCard(TypedDict):
    """`dataset.json`."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]

    recipe: _Recipe
    config_hash: str
    code_version: str
    shards: list[str]
    num_planned: Count
    totals: NotRequired[_Totals | None]
    manifests: NotRequired[dict[str, str]]
    schema_version: Count


def read_card(root: AnyPath) -> DatasetCard:
    """The card of a data set.

    Raises:
        UserError: if the folder is not a data set of this schema version, or the storage fails.
        DamagedCard: if its card is not what was written.
    """
    path = dataset_file(root)
    try:
        is_folder = root.is_dir()
    except OSError as error:  # a name too long for any
        raise UserError(f"dataset={root}: {error.strerror}") from error
    if not is_folder:
        raise UserError(f"dataset={root}: no such folder")
    try:
        return parse_card(retried(path, path.read_bytes), str(path))
    except FileNotFoundError:
        raise UserError(f"{root}: not a data set (no dataset.json)") from None
    except IsADirectoryError as error:
        raise DamagedCard(f"{path}: a folder where a file should be") from error


def parse_card(data: bytes, where: str) -> DatasetCard:
    """The card in the bytes of a `dataset.json`.

    Raises:
        UserError: if it is of another schema version; `where` names it.
        DamagedCard: if it is none, or not what was written.
    """
    try:
        fields = parse_object(data, dict[str, Any])
        if is_sealed(data) != ("manifests" in fields):
            raise ValueError("its checksum is missing")
        version = fields.get("schema_version", "unknown")
        if version != SCHEMA_VERSION:
            raise UserError(f"{where}: schema version {version}; this code reads {SCHEMA_VERSION}")
        card = shaped({name: value for name, value in fields.items() if name != CHECKSUM}, _StoredCard)
        names = tuple(card["shards"])
        if len(set(names)) != len(names) or not all(map(is_shard_name, names)):
            raise ValueError("shards: not a list of different shard names")
        return DatasetCard(**{**card, "recipe": dict(card["recipe"]), "shards": names})  # type: ignore[arg-type]
    except ValueError as error:
        raise DamagedCard(f"{where}: not a data set card ({error})") from error


def read_manifests(root: AnyPath, names: Iterable[str]) -> Iterator[ShardManifest]:
    """Manifests of the committed shards among those named, in order.

    Raises:
        ValueError: if one is damaged.
    """
    for manifest in answers(root, partial(read_checked_manifest, root), names):
        if manifest is not None:
            yield manifest


def committed_names(root: AnyPath) -> list[str]:
    """Names of all shards that have a manifest, in the plan or not."""
    return sorted(path.stem for path in shards_folder(root).glob("*.json") if is_shard_name(path.stem))


def dataset_totals(manifests: Iterable[ShardManifest]) -> dict[str, Any]:
    """Counts of a data set: sequences by split and renderer, bytes, licences, refused inputs."""
    splits: dict[str, int] = {}
    renderers: dict[str, int] = {}
    licences: dict[str, int] = {}
    num_bytes = num_quarantined = num_shards = 0
    for manifest in manifests:
        num_shards += 1
        num_bytes += manifest.num_bytes
        num_quarantined += len(manifest.quarantined)
        splits[manifest.split] = splits.get(manifest.split, 0) + manifest.num_samples
        for record in manifest.records:
            renderers[record["renderer"]] = renderers.get(record["renderer"], 0) + 1
            licence = record["licence"] or "unknown"
            licences[licence] = licences.get(licence, 0) + 1
    return {
        "num_sequences": sum(splits.get(split, 0) for split in SPLITS),
        "num_shards": num_shards,
        "num_bytes": num_bytes,
        "num_quarantined": num_quarantined,
        "splits": splits,
        "renderers": renderers,
        "licences": licences,
    }


def write_tables(root: AnyPath, manifests: Sequence[ShardManifest]) -> None:
    """Write `samples.parquet` and `quarantine.jsonl` from the manifests (and `seconds` from the timings)."""
    seconds = {key: value for manifest in manifests for key, value in _paint_seconds(root, manifest.name).items()}
    write_atomically(samples_file(root), samples_table(manifests, seconds))
    rows = quarantine_rows(manifests)
    if rows:
        write_atomically(quarantine_file(root), rows)
    else:
        quarantine_file(root).unlink(missing_ok=True)


def samples_table(manifests: Iterable[ShardManifest], seconds: Mapping[str, float | None]) -> bytes:
    """`samples.parquet`; the same manifests and seconds give the same bytes with the same pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [
        {**record, "seconds": seconds.get(record["key"])} for manifest in manifests for record in manifest.records
    ]
    buffer = pa.BufferOutputStream()
    table = pa.Table.from_pylist(records, schema=_samples_schema(pa))
    pq.write_table(table, buffer, write_page_checksum=True)
    written: bytes = buffer.getvalue().to_pybytes()
    return written


def quarantine_rows(manifests: Iterable[ShardManifest]) -> bytes:
    """`quarantine.jsonl`; empty when nothing was refused, and then there is no such file."""
    rows = (row for manifest in manifests for row in manifest.quarantined)
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows).encode()


def _samples_schema(pa: Any) -> Any:
    text, number, integer = pa.string(), pa.float64(), pa.int64()
    columns = {
        "key": text, "index": integer, "split": text, "shard": text, "source": text, "source_sha256": text,
        "licence": text, "caption": text, "renderer": text, "renderer_config_hash": text, "seed": integer,
        "num_steps": integer, "frame_steps": pa.list_(integer), "psnr_db": number, "ssim": number,
        "coverage": pa.list_(number), "distance": pa.list_(number), "progress_violation": number, "seconds": number,
    }  # fmt: skip
    return pa.schema(list(columns.items()))


class _Timing(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    paint: dict[str, Number]


def _paint_seconds(root: AnyPath, name: str) -> dict[str, float]:
    """Seconds by key; empty when the worker was killed after the commit and before it could note them.

    They are a by-product: without them a data set is as whole, so a damaged file is as good as none.
    """
    path = timings_folder(root) / f"{name}.json"
    try:
        return parse_object(retried(path, path.read_bytes), _Timing)["paint"]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return {}
