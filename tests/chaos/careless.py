"""A command that breaks one promise, which the judge must detect: `python -m tests.chaos.careless PROMISE`."""

import sys
from pathlib import Path


def main(breach: str) -> int:
    """Copy `in/data/x` to `disk/out/x`, carelessly."""
    source, out = Path("in/data/x"), Path("disk/out")
    is_repeated = out.exists()
    out.mkdir(exist_ok=True)
    data = source.read_bytes() if source.is_file() else b""
    if breach == "traceback" and data != b"sound":
        raise ValueError("damaged")
    if breach != "silent" and data != b"sound":
        sys.stderr.write(f"error: {source}: damaged\n")
        return 2
    if is_repeated and breach == "lost":
        sys.stderr.write("error: disk/out: there is something already\n")
        return 2
    if is_repeated and breach == "unclear":
        return 2
    if is_repeated and breach == "left behind":
        (out / ".x.1-00000000.tmp").write_bytes(b"half")
    if breach == "repeated" or not is_repeated:
        (out / "y").write_bytes(data)
        (out / "y").replace(out / "x")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
