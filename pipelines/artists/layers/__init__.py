"""Layered documents as an artist's process: one layer after the other is laid on, from the bottom to the top.

The readers of OpenRaster (`openraster`) and Krita (`krita`) turn a file into a `document`, which `blending` composites;
PSD is read and composited by psd-tools (`photoshop`).
"""
