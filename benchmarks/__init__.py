"""How fast and how good, measured beside a yardstick in the same run."""
