"""The page that plays one process."""
