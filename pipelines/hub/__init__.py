"""What others' tools read of a data set or a painter, and how both get to the Hub."""
