"""Claims on folders of an object store, which has no locks that end with a process.

FOLDER/.writer-00000007.json   the claim of the seventh holder, who writes it again every `BEAT_S` seconds

A claim is put only if there is none of its number (a conditional put), so only one of two processes gets it. The holder
is the process with the highest number. A process that finds a claim watches it: if it changes, its holder is alive and
the folder is refused; if it stays the same for `EXPIRY_S` seconds, which the watching process measures without
comparing clocks, its holder is dead and the next number may be taken. A claim of a process of this machine that has
ended is ignored at once.

A holder that was believed dead, but was only slow, finds the higher number at its next beat and stops. What it wrote in
between does no harm: shards have the same bytes whoever makes them, and another recipe is refused by the card.
"""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conf.errors import UserError
from training.data.plain import parse_json
from training.data.remote import RemotePath

BEAT_S = 10.0
EXPIRY_S = 35.0
_LOOK_S = 1.0
_NAME = re.compile(r"\.writer-([0-9]{8})\.json")


@contextmanager
def sole_remote_writer(root: RemotePath) -> Iterator[None]:
    """Hold a folder for this process.

    Raises:
        UserError: if another run is writing here; also at the end, if another run has taken the folder meanwhile.
    """
    claim = _taken(root)
    done, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_beat, args=(root, claim, done, lost), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if not lost.is_set():
            with suppress(UserError):  # it expires by itself
                for path in {claim, *(path for path in _claims(root) if path < claim)}:
                    path.unlink(missing_ok=True)
    if lost.is_set():
        raise UserError(f"{root}: another run has taken over this folder and continues there")


def is_claim(path: object) -> bool:
    """Whether a name in a folder is that of a claim."""
    return isinstance(path, RemotePath) and _NAME.fullmatch(path.name) is not None


def is_claimed(root: RemotePath) -> bool:
    """Whether a run holds the folder now; to find out may take one and a half beats."""
    claims = _claims(root)
    return bool(claims) and _is_alive(claims[-1], 1.5 * BEAT_S)


def _taken(root: RemotePath) -> RemotePath:
    """Put a claim of this process, with the highest number."""
    claims = _claims(root)
    if claims and _is_alive(claims[-1], EXPIRY_S):
        raise UserError(f"{root}: another run is writing here ({_holder(claims[-1])})")
    number = int(_NAME.fullmatch(claims[-1].name)[1]) + 1 if claims else 1  # type: ignore[index]  # `_claims` matched
    claim = root / f".writer-{number:08d}.json"
    if not claim.create(_sign_of_life()):
        raise UserError(f"{root}: another run is writing here ({_holder(claim)})")
    return claim


def _claims(root: RemotePath) -> list[RemotePath]:
    return sorted(filter(is_claim, root.iterdir()))


def _beat(root: RemotePath, claim: RemotePath, done: threading.Event, lost: threading.Event) -> None:
    """Rewrite the claim as a sign of life, until this process is done or another has taken the folder."""
    while not done.wait(BEAT_S):
        with suppress(UserError, FileNotFoundError):  # a store that fails now may answer at the next beat
            claims = _claims(root)
            if claims and claims[-1] > claim:
                lost.set()
                return
            claim.write_bytes(_sign_of_life())


def _sign_of_life() -> bytes:
    """The content of a claim: who holds the folder. It is different at every call."""
    pid = os.getpid()
    facts = {
        "host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "began": _start_time(pid),
        "beat": os.urandom(8).hex(),
    }  # fmt: skip
    return json.dumps(facts).encode()


def _is_alive(claim: RemotePath, patience_s: float) -> bool:
    """Whether the holder of a claim gives a sign of life within `patience_s`."""
    old_content = _content(claim)
    facts = _facts(old_content)
    if facts.get("boot") == _boot_id() and facts.get("host") == socket.gethostname():
        return facts.get("began") == _start_time(int(facts.get("pid", 0)))
    deadline = time.monotonic() + patience_s
    while old_content is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        if (new_content := _content(claim)) != old_content:
            return new_content is not None  # None: the claim was given up
    return False


def _content(claim: RemotePath) -> bytes | None:
    try:
        return claim.read_bytes()
    except FileNotFoundError:
        return None


def _facts(data: bytes | None) -> dict[str, Any]:
    try:
        facts = parse_json(data or b"{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _holder(claim: RemotePath) -> str:
    facts = _facts(_content(claim))
    return f"process {facts.get('pid')} of {facts.get('host')}"


def _boot_id() -> str:
    """A text that distinguishes this boot of this machine, or this container, from any other."""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/pid").readlink()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    return ""


def _start_time(pid: int) -> str | None:
    """Start time of a process of this machine, in ticks since boot; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
