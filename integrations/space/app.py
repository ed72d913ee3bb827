"""The app as a Space: on all addresses, each visitor sees paintings of their own, old ones make room."""

import os
import sys

from process_painter.console import main

LIMITS = ("limits.queue=30", "limits.paintings=200", "limits.canvas_px=512")

if __name__ == "__main__":
    port = os.environ.get("GRADIO_SERVER_PORT", "7860")
    sys.argv = ["process-painter", "app", "host=0.0.0.0", f"port={port}", "out=paintings", "gallery=own", *LIMITS]
    sys.exit(main())
