"""How good a painting process is: its finished picture, its way there, and controls that no metric may prefer."""
