"""The rasteriser for GPUs: batches of programs at once, in torch, with gradients.

It paints what the kernels of `renderers.raster` paint, to 1/255, and runs on a CPU through the same code. Its entry
point is `rasteriser.paint`.
"""
