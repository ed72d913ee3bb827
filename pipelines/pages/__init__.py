"""The HTML pages that commands write; each opens without a network."""
