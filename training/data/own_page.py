"""Pages that a command writes for people, who may change them: a page is rewritten until somebody has changed it.

The last line of a page carries a hash of all above it. A page without this hash, or with a wrong one, was changed by a
reader.
"""

import hashlib
import re

from training.data.remote import AnyPath

README = "README.md"
"""The card of a data set or a painter, where the Hub looks for it."""
_MARK = "<!-- Made by process-painter, which writes this page anew until you change it. SHA-256: {} -->\n"
_LAST_LINE = re.compile(re.escape(_MARK).replace(re.escape("{}"), "([0-9a-f]{64})").encode() + rb"\Z")


def page_for(stored: AnyPath, text: str) -> bytes:
    """The content that a page's file should get: the page in it, if that was changed by hand, or else this text.

    Args:
        stored: the file, which need not exist.
        text: text of the new page, ending with a line break.

    Raises:
        OSError: if the file is there and cannot be read.
    """
    if stored.exists() and not is_as_made(data := stored.read_bytes()):
        return data
    page = text.encode()
    return page + _MARK.format(hashlib.sha256(page).hexdigest()).encode()


def is_as_made(page: bytes) -> bool:
    """Whether a page is still as `page_for` made it."""
    mark = _LAST_LINE.search(page)
    return mark is not None and hashlib.sha256(page[: mark.start()]).hexdigest().encode() == mark[1]
