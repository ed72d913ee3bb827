"""Cards of data sets and painters, which other tools read, and the upload of both to the Hub."""
