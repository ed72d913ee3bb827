"""Layered documents as an artist's process: one layer after the other is laid on, from the bottom to the top.

`document` is what the readers of OpenRaster (`openraster`) and Krita (`krita`) make of a file, `blending` composites
it; PSD is read and composited by psd-tools (`photoshop`).
"""
