"""The tables of a data set: `samples.parquet`, one row per sequence; `quarantine.jsonl`, one row per refused input.

Both are written and read piece by piece, so that they may be longer than memory.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

from typing_extensions import TypedDict

from training.data.layout import quarantine_file, samples_file, timings_folder
from training.data.manifest import ShardManifest, new_file
from training.data.plain import OPEN, Number, parse_object
from training.data.remote import AnyPath
from training.data.retries import retried

ROWS_A_GROUP = 16_384
"""Rows of a row group of `samples.parquet`; in data sets of the first versions a group has a million."""


def write_tables(root: AnyPath, manifests: Iterable[ShardManifest]) -> None:
    """Write both tables in one pass over the manifests; `seconds` come from the timings."""
    with ExitStack() as stack:
        samples, refused = new_file(samples_file(root)), new_file(quarantine_file(root))
        stack.callback(samples.close)
        stack.callback(refused.close)

        def rows() -> Iterator[dict[str, Any]]:
            for manifest in manifests:
                refused.file.writelines(quarantine_lines([manifest]))
                seconds = _paint_seconds(root, manifest.name)
                for record in manifest.records:
                    yield {**record, "seconds": seconds.get(record["key"])}

        write_samples(samples.file, rows())
        samples.commit()
        if refused.file.tell():
            refused.commit()
        else:  # when nothing was refused, there is no such file
            quarantine_file(root).unlink(missing_ok=True)


def write_samples(file: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `samples.parquet` from records of manifests with `seconds`.

    The same rows give the same bytes with the same version of pyarrow.
    """
    remaining = iter(rows)
    with samples_writer(file) as writer:
        group = list(islice(remaining, ROWS_A_GROUP))
        while True:
            writer.write_table(samples_group(group))
            if not (group := list(islice(remaining, ROWS_A_GROUP))):
                return


def samples_writer(file: Any) -> Any:
    """Pyarrow's writer of row groups."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, _samples_schema(), write_page_checksum=True)


def samples_group(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A row group as a table of pyarrow."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=_samples_schema())


def quarantine_lines(manifests: Iterable[ShardManifest]) -> Iterator[bytes]:
    """Lines of `quarantine.jsonl`."""
    for manifest in manifests:
        for row in manifest.quarantined:
            yield (json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _samples_schema() -> Any:
    import pyarrow as pa

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
    """Seconds by key; empty if the worker was killed after the commit, before it wrote them.

    A data set is complete without them, so a damaged file is treated like a missing one.
    """
    path = timings_folder(root) / f"{name}.json"
    try:
        return parse_object(retried(path, path.read_bytes), _Timing)["paint"]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return {}
