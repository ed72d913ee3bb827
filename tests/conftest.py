"""Every test runs on one thread and draws the same random examples every time."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # read once, when the library is first imported; torch's threads are OpenMP's

import cv2  # noqa: E402
from hypothesis import settings  # noqa: E402

cv2.setNumThreads(1)
settings.register_profile("same-every-time", derandomize=True, deadline=None, database=None)
settings.load_profile("same-every-time")
