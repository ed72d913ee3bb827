"""The quality of painting processes: their finished pictures, the way there, and controls that no metric may prefer."""
