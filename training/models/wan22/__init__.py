"""Wan2.2-TI2V-5B: a transformer over whole sequences, trained by flow matching; and a tiny one of the same classes."""
