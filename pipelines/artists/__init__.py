"""Turns recordings of artists into sequences: folders of frames, videos, grid pictures, layers, drawings and archives.

`find` lists the sequences; `frames`, `video`, `grid` and others read them. They are then treated in this order:
`shots`, `borders`, `alignment`, `cleaning`, `keyframes`. `sequence` does all of it for one sequence.
"""
