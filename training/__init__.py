"""From shards to trained weights."""
