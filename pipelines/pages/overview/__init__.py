"""The page of several processes: each with its sheet, and a way to its player."""
