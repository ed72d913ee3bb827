"""A third architecture, which the package does not know: a transformer over sequences, two text tensors, flow matching.

Its codec has no weights and makes one latent of two frames. docs/adding-a-model.md walks through these files.
"""
