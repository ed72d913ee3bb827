"""Changes to the machine during a run. Each is undone at the end of the run, or by its context manager."""

import ctypes
import os
import resource
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.running import on_busy_machine

_NEW_MOUNTS = 0x00020000
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_CAPABILITIES_3 = 0x20080522
_BYPASS_PERMISSIONS = 0b111111  # chown, dac_override, dac_read_search, fowner and others, which only root has

_PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    pid = os.fork()
    if pid == 0:
        try:
            own_mounts()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def can_trace() -> bool:
    """Whether system calls can be made to fail."""
    return shutil.which("strace") is not None


def own_mounts() -> None:
    """Hide later mounts of this process from all processes but itself and its children."""
    _checked(_libc.unshare(_NEW_MOUNTS))
    _checked(_libc.mount(None, b"/", None, _REC | _PRIVATE, None))


def without_shared_memory() -> None:
    """Make /dev/shm read-only for this process."""
    own_mounts()
    _checked(_libc.mount(b"none", b"/dev/shm", b"tmpfs", _RDONLY, b"size=4k"))


def read_only(folder: Path) -> None:
    """Mount a folder read-only for this process."""
    own_mounts()
    name = str(folder.resolve()).encode()
    _checked(_libc.mount(name, name, None, _BIND, None))
    _checked(_libc.mount(None, name, None, _BIND | _REMOUNT | _RDONLY, None))


def obey_permissions() -> None:
    """Give up root's right to bypass the permissions of files."""
    if os.getuid():
        return
    header, sets = struct.pack("<Ii", _CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, sets))
    for index in (0, 1):  # effective and permitted
        sets[index] &= ~_BYPASS_PERMISSIONS
    _checked(_libc.capset(header, sets))


def few_handles(count: int) -> None:
    """Limit the number of open files of this process to `count`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def short_files(num_bytes: int) -> None:
    """Limit files that this process writes to `num_bytes`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[None]:
    """Mount a disk with about `num_bytes` free bytes in place of a folder; its files are in the folder afterwards."""
    before, after = folder.with_name("before"), folder.with_name("kept")
    folder.rename(before)
    folder.mkdir()
    used = sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in before.rglob("*") if path.is_file())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + max(_PAGE, num_bytes)}", "tmpfs", folder], check=True)
    try:
        shutil.copytree(before, folder, dirs_exist_ok=True)
        yield
        shutil.copytree(folder, after, symlinks=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(before)
    folder.rmdir()
    after.rename(folder)


class Tracer:
    """Traces a held process and all its descendants with strace.

    Args:
        pid: the process.
        inject: what happens to which call, in strace's syntax: `fsync:signal=SIGKILL:when=3`.
        path: count only calls on this file.
        count: file to which the number of each call is written, instead of an injection.
    """

    def __init__(self, pid: int, inject: str | None = None, path: Path | None = None, count: Path | None = None):
        calls = (inject or "").partition(":")[0]
        command = ["strace", "-f", "-q", "-p", str(pid), "-o", str(count or os.devnull)]
        command += ["-c"] if count is not None else ["-e", f"trace={calls}", "-e", f"inject={inject}"]
        command += ["-P", str(path)] if path is not None else []
        self._strace = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while f"TracerPid:\t{self._strace.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
            if self._strace.poll() is not None:
                raise RuntimeError("strace cannot trace here")
            time.sleep(0.002)

    def wait(self) -> None:
        """Wait until all traced processes have ended."""
        self._strace.wait(on_busy_machine(60))


def call_counts(table: Path) -> dict[str, int]:
    """System call -> number of calls, from the table that `strace -c` wrote."""
    counts = {}
    for line in table.read_text().splitlines():
        columns = line.split()
        if len(columns) >= 5 and columns[3].isdigit() and columns[-1] != "total":
            counts[columns[-1]] = int(columns[3])
    return counts
