"""The page of several processes: each with its sheet, and a link to its player."""
