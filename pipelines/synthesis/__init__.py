"""Making a data set: the plan, the workers, shards, and what is checked afterwards."""
