"""Stable Diffusion 1.5 and models made from it: a UNet of pictures, AnimateDiff's temporal modules, SparseCtrl."""
