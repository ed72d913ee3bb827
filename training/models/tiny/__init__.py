"""The tiny model: the classes of Stable Diffusion 1.5, small enough to be trained from nothing on two cores."""
