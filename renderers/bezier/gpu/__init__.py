"""Placing and refining Bézier strokes on a GPU, many pictures in step; it runs on a CPU through the same code."""
