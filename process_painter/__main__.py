"""`python -m process_painter VERB`: the same as `process-painter VERB`."""

import sys

from process_painter.console import main

if __name__ == "__main__":
    sys.exit(main())
