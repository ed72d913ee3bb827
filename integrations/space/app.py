"""The app as a Space: it listens on all addresses, visitors see only their own paintings, and old ones are removed."""

import os
import sys

from process_painter.console import main

LIMITS = ("limits.queue=30", "limits.paintings=200", "limits.canvas_px=512")

if __name__ == "__main__":
    port = os.environ.get("GRADIO_SERVER_PORT", "7860")
    sys.argv = ["process-painter", "app", "host=0.0.0.0", f"port={port}", "out=paintings", "gallery=own", *LIMITS]
    sys.exit(main())
