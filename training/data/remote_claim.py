"""Holding a folder of an object store, where there are no locks that end with a process.

FOLDER/.writer-00000007.json   the claim of the seventh holder, who writes it again every `BEAT_S` seconds

A claim is put only if there is none of its number (a conditional put), so of two who try, one gets it. The holder is
whoever has the highest number. Whoever finds a claim watches it: if it changes, its holder lives and the folder is
refused; if it stays the same for `EXPIRY_S`, by the watch of who looks and by nobody's clock, its holder is dead and
the next number is free to take. A claim of this machine whose process has ended is passed over at once.

A holder who was believed dead, and was only slow, finds the higher number at its next beat and stops. What it wrote in
between does no harm: shards are the same bytes whoever makes them, and another recipe is refused by the card.
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
    """Whether a run holds the folder now; takes up to one beat to see."""
    claims = _claims(root)
    return bool(claims) and _is_alive(claims[-1], 1.5 * BEAT_S)


def _taken(root: RemotePath) -> RemotePath:
    """A claim of ours with the highest number."""
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
    """Show that this process lives, until it is done or another has taken the folder."""
    while not done.wait(BEAT_S):
        with suppress(UserError, FileNotFoundError):  # a store that fails now may answer at the next beat
            claims = _claims(root)
            if claims and claims[-1] > claim:
                lost.set()
                return
            claim.write_bytes(_sign_of_life())


def _sign_of_life() -> bytes:
    """Who holds the folder; never the same twice."""
    pid = os.getpid()
    facts = {
        "host": socket.gethostname(), "boot": _boot(), "pid": pid, "began": _began(pid), "beat": os.urandom(8).hex(),
    }  # fmt: skip
    return json.dumps(facts).encode()


def _is_alive(claim: RemotePath, patience_s: float) -> bool:
    """Whether the holder of a claim shows that it lives, within so many seconds."""
    before = _content(claim)
    facts = _facts(before)
    if facts.get("boot") == _boot() and facts.get("host") == socket.gethostname():
        return facts.get("began") == _began(int(facts.get("pid", 0)))
    deadline = time.monotonic() + patience_s
    while before is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        if (now := _content(claim)) != before:
            return now is not None  # else it was given back
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


def _boot() -> str:
    """What tells this start of this machine, or container, from any other."""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/pid").readlink()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {namespace}"
    return ""


def _began(pid: int) -> str | None:
    """When a process of this machine began, in ticks since the start; None where there is none of this number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
