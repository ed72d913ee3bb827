"""From recordings of artists to sequences: folders of frames, videos, and grid pictures.

A file a subject: `find` (what there is), `frames`, `video`, `grid` (reading it), then what is done to it, in this
order: `shots`, `borders`, `alignment`, `cleaning`, `keyframes`; `sequence` does all of it for one sequence.
"""
