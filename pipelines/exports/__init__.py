"""What `export` is made of: what goes in, a file a format, and the registry that lists the formats."""
