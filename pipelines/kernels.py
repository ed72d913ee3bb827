"""Compiles stroke kernels before a run begins, so that it does not seem to hang and its estimate of time is right.

Kernels stay compiled on a machine until their source changes. One process compiles them all; otherwise each worker
would compile them itself.
"""

import contextlib
import subprocess
import sys
from collections.abc import Collection
from os import environ

import numpy as np

from conf.compose import choices, compose
from conf.errors import ConfigError
from conf.progress import tell
from pipelines.synthesis.cluster import worker_variables
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.run_config import ClusterConfig

_SIZE_PX = 64


def compile_kernels(families: Collection[str], cluster: ClusterConfig) -> None:
    """Compile the kernels of some renderer families, with a message, unless this machine has them already.

    Machines of an existing Ray cluster compile for themselves. If compiling fails here, workers compile the kernels.
    """
    from renderers.raster.jit import compiled_marker

    markers = [compiled_marker(family, cluster.cpu) for family in sorted(families)]
    if cluster.kind == "ray" or all(marker.exists() for marker in markers):
        return
    names = ", ".join(sorted(families))
    tell(f"compiling the stroke kernels of {names}, once on this machine, up to a minute")
    arguments = [sys.executable, "-m", "process_painter", "kernels", *sorted(families)]
    completed = subprocess.run(arguments, env={**environ, **worker_variables(cluster)}, stderr=subprocess.DEVNULL)
    if completed.returncode == 0:
        with contextlib.suppress(OSError):  # the home folder may not be writable
            for marker in markers:
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.touch()


def main(families: Collection[str]) -> None:
    """Paint noise with each renderer of `conf/renderer`, members of mixes included, that belongs to the families."""
    picture = np.random.default_rng(0).random((_SIZE_PX, _SIZE_PX, 3), dtype=np.float32)
    painted: list[tuple[str, object]] = []
    for name in choices("renderer"):
        with contextlib.suppress(ConfigError):  # it may need a file, such as weights; workers then compile its kernels
            for choice in synth_config(compose("synth", [f"renderer={name}"])).renderers:
                if choice.family not in families or (choice.family, choice.config) in painted:
                    continue
                painted.append((choice.family, choice.config))
                painting = choice.renderer.paint(picture, choice.config, np.random.SeedSequence(0))
                list(choice.renderer.replay(painting.program, [len(painting.program.strokes)]))


if __name__ == "__main__":
    main(sys.argv[1:])
