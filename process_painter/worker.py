"""What worker processes of a cluster are given to run.

Ray puts the working directory of the command before everything else that its workers import from. A function of this
package is the first thing that they import, and with it come our packages and not others of the same names.
"""

from importlib import import_module
from typing import Any


def render_shard(plan: Any, settings: Any) -> Any:
    """As `pipelines.synthesis.shard.render_shard`."""
    return import_module("pipelines.synthesis.shard").render_shard(plan, settings)
