"""Faults of the tables of a data set; they are read by row groups and compared with the manifests."""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from conf.errors import UserError
from training.data.dataset import DatasetCard
from training.data.layout import quarantine_file, samples_file
from training.data.manifest import ShardManifest, stored_hash
from training.data.remote import AnyPath
from training.data.retries import retried
from training.data.tables import samples_group, samples_writer

_ANY_PYARROW = re.compile(r"parquet-cpp-arrow version [0-9.]+")
_OTHER_ROWS = "not the rows of the manifests"


def table_faults(
    root: AnyPath, card: DatasetCard, refused: str, manifests: Callable[[], Iterable[ShardManifest]]
) -> Iterator[str]:
    """Faults of tables that are not what the manifests give. Tables are written when a run ends.

    Args:
        root, card: those of the data set.
        refused: SHA-256 of `quarantine_lines` of the sound manifests.
        manifests: reads the sound manifests again.

    Raises:
        UserError: if the storage fails.
    """
    if card.totals is None:
        return
    if _sha256(quarantine_file(root)) != refused:
        yield f"{quarantine_file(root)}: not the rows of refused inputs that the manifests hold"
    path = samples_file(root)
    try:
        reason = retried(path, lambda: samples_fault(path, manifests(), exact=card.manifests is not None))
    except (FileNotFoundError, IsADirectoryError):
        reason = "missing"
    if reason is not None:
        yield f"{path}: {reason}"


def samples_fault(path: AnyPath, manifests: Iterable[ShardManifest], *, exact: bool) -> str | None:
    """The fault of a `samples.parquet`; None if it has none.

    The seconds that painting took may be stored nowhere else, so they are taken from the table itself, whose pages
    carry checksums. Other versions of pyarrow write the same rows as other bytes, so bytes are compared only if this
    version wrote the table.

    Raises:
        OSError: if the storage fails.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = (record for manifest in manifests for record in manifest.records)
    expected_bytes = _Digest()
    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            with samples_writer(expected_bytes) as writer:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number)
                    seconds = table["seconds"].to_pylist()
                    group = islice(records, len(seconds))
                    expected = samples_group(
                        [{**row, "seconds": each} for row, each in zip(group, seconds, strict=False)]
                    )
                    if table.schema != expected.schema or not table.equals(expected):
                        return _OTHER_ROWS
                    writer.write_table(expected, row_group_size=max(1, len(seconds)))
            if next(records, None) is not None:
                return _OTHER_ROWS
            created_by = str(file.metadata.created_by)
        except UserError:
            raise
        except Exception as error:  # damaged Parquet can raise any exception
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return f"damaged ({' '.join(str(error).split())[:100] or type(error).__name__})"
    if not exact or expected_bytes.sha256.hexdigest() == _sha256(path):
        return None
    other_version = _ANY_PYARROW.fullmatch(created_by) and created_by != f"parquet-cpp-arrow version {pa.cpp_version}"
    return None if other_version else "not the bytes that were written"


class _Digest(io.RawIOBase):
    """A file object that keeps only the hash of what is written to it."""

    def __init__(self) -> None:
        self.sha256, self._num_bytes = hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self._num_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self._num_bytes

    def writable(self) -> bool:
        return True


def _sha256(path: AnyPath) -> str:
    """SHA-256 of a file; a missing file counts as an empty one."""
    try:
        return stored_hash(path)
    except (FileNotFoundError, IsADirectoryError):
        return hashlib.sha256().hexdigest()
