"""A command that breaks one promise: `python -m tests.chaos.careless PROMISE`. The judge must see it."""

import sys
from pathlib import Path


def main(breach: str) -> int:
    """Copy `in/data/x` to `disk/out/x`, carelessly."""
    given, out = Path("in/data/x"), Path("disk/out")
    again = out.exists()
    out.mkdir(exist_ok=True)
    data = given.read_bytes() if given.is_file() else b""
    if breach == "traceback" and data != b"sound":
        raise ValueError("damaged")
    if breach != "silent" and data != b"sound":
        sys.stderr.write(f"error: {given}: damaged\n")
        return 2
    if again and breach == "lost":
        sys.stderr.write("error: disk/out: there is something already\n")
        return 2
    if again and breach == "unclear":
        return 2
    if again and breach == "left behind":
        (out / ".x.1-00000000.tmp").write_bytes(b"half")
    if breach == "repeated" or not again:
        (out / "y").write_bytes(data)
        (out / "y").replace(out / "x")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
