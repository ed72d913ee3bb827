"""Makes sure that this package's own `conf`, `renderers`, `training` and `pipelines` are imported.

Their names are ordinary, so the folder in which a command is run may hold others of the same names, and `python -m`
looks there first. Importing any of ours imports this package, whose name is unique, and it loads all of them from the
folder that it is in.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGES = ("conf", "renderers", "training", "pipelines")
ROOT = Path(__file__).parent.parent


def _load(name: str) -> None:
    """Import one of our packages from beside this one.

    Raises:
        ImportError: if something else was imported under its name before.
    """
    init = ROOT / name / "__init__.py"
    loaded = sys.modules.get(name)
    if loaded is not None:
        place = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", [])), "somewhere else")
        if not Path(place).exists() or not init.samefile(place):
            raise ImportError(f"process-painter needs its own '{name}', but {place} was imported under that name")
        return
    spec = spec_from_file_location(name, init, submodule_search_locations=[str(init.parent)])
    assert spec is not None and spec.loader is not None  # the file is ours
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)


for _name in PACKAGES:
    _load(_name)
