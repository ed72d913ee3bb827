"""What is done to the machine under a run. All of it is undone with the run, or by a context."""

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
_PAST_PERMISSIONS = 0b111111  # chown, dac_override, dac_read_search, fowner and others: what root may and others not

_PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def can_mount() -> bool:
    """Whether this process may."""
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
    """What is mounted from here on is seen by this process and its children alone."""
    _checked(_libc.unshare(_NEW_MOUNTS))
    _checked(_libc.mount(None, b"/", None, _REC | _PRIVATE, None))


def without_shared_memory() -> None:
    """/dev/shm can no longer be written."""
    own_mounts()
    _checked(_libc.mount(b"none", b"/dev/shm", b"tmpfs", _RDONLY, b"size=4k"))


def read_only(folder: Path) -> None:
    """A folder is mounted read-only for this process."""
    own_mounts()
    name = str(folder.resolve()).encode()
    _checked(_libc.mount(name, name, None, _BIND, None))
    _checked(_libc.mount(None, name, None, _BIND | _REMOUNT | _RDONLY, None))


def obey_permissions() -> None:
    """Root is bound by the permissions of files as anybody is."""
    if os.getuid():
        return
    header, sets = struct.pack("<Ii", _CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, sets))
    for word in (0, 1):  # effective and permitted
        sets[word] &= ~_PAST_PERMISSIONS
    _checked(_libc.capset(header, sets))


def few_handles(count: int) -> None:
    """No more than so many files are open at once."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def short_files(num_bytes: int) -> None:
    """No file grows longer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[None]:
    """A disk with so many free bytes in place of a folder; what is on it is kept in the folder afterwards."""
    before, kept = folder.with_name("before"), folder.with_name("kept")
    folder.rename(before)
    folder.mkdir()
    taken = sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in before.rglob("*") if path.is_file())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={taken + max(_PAGE, num_bytes)}", "tmpfs", folder], check=True)
    try:
        shutil.copytree(before, folder, dirs_exist_ok=True)
        yield
        shutil.copytree(folder, kept, symlinks=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(before)
    folder.rmdir()
    kept.rename(folder)


class Tracer:
    """strace on a held process and all that it starts.

    Args:
        pid: the process.
        inject: in strace's words, what happens to which call: `fsync:signal=SIGKILL:when=3`.
        path: only calls on this file count.
        count: where to write how often each call was made, instead of injecting.
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
        """Until all that it traces has ended."""
        self._strace.wait(on_busy_machine(60))


def call_counts(table: Path) -> dict[str, int]:
    """Call -> how often, of what `strace -c` wrote."""
    counts = {}
    for line in table.read_text().splitlines():
        columns = line.split()
        if len(columns) >= 5 and columns[3].isdigit() and columns[-1] != "total":
            counts[columns[-1]] = int(columns[3])
    return counts
