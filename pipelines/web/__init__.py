"""The app: a page on which people paint, and the server behind it."""
