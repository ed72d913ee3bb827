"""Hostile strings that may be in names, captions and headers."""

MARKUP = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "<!--<script>",
    "]]>&lt;script&gt;alert(1)&lt;/script&gt;",
    "javascript:alert(1)",
    "${data} $script {{7*7}}",
    "\u2028alert(1)\u2029",
)
"""Attacks on pages."""

CONTROL = (
    "\x1b]0;renamed\x07",  # renames the window
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b[6n",  # is answered as if somebody typed
    "\x9b31m",  # begins a command in one character
    "a\rb\nfault: none",  # writes over the line, or adds one
    "photo\u202egnp.exe",  # reads photoexe.png
    "\x00",
    "\x7f",
)
"""Attacks on terminals."""

SECRETS = (
    ("https://ann:s3cret@host/a.tar", "https://***@host/a.tar"),
    ("https://s3cret@host/a.tar", "https://***@host/a.tar"),
    ("ftp://ann:s3cret@at@host/a.tar", "ftp://***@host/a.tar"),
    ("simplecache::https://ann:s3cret@host/a.tar", "simplecache::https://***@host/a.tar"),
    ("https://host/a.tar?token=s3cret", "https://host/a.tar?token=***"),
    ("https://host/a.tar?x=1&X-Amz-Signature=s3cret&y=2", "https://host/a.tar?x=1&X-Amz-Signature=***&y=2"),
    ("https://host/a.tar?AWSAccessKeyId=s3cret", "https://host/a.tar?AWSAccessKeyId=***"),
    ("https://host/a.tar?sv=2024&sig=s3cret%3D", "https://host/a.tar?sv=2024&sig=***"),
)
"""Addresses with credentials, and the same addresses as they may be stored."""
