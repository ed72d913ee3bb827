"""The data set on disk: its schema, the shard writer, manifests."""
