"""A small stand-in for ComfyUI, which is in no package registry: the part of its published interface that we use.

It follows `comfy_api.latest` of ComfyUI 0.3.64: the same names, arguments and defaults, and the same errors for unknown
arguments. Nodes are run as ComfyUI runs them: under `torch.inference_mode`, with the inputs of their schemas. The pack
was also loaded and run by hand with the real `comfy_api` of that version (docs/comfyui.md).
"""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.pipelines.runs import REPOSITORY

PACK = REPOSITORY / "integrations" / "comfyui"


@dataclass
class Input:
    """An input of a node: a widget, which has a default, or otherwise a link."""

    id: str
    optional: bool = False
    tooltip: str | None = None
    io_type: str = ""


@dataclass
class Widget(Input):
    """A value that users set."""

    default: Any = None


@dataclass
class Number(Widget):
    """An INT or FLOAT widget."""

    min: float | None = None
    max: float | None = None
    step: float | None = None
    control_after_generate: bool | None = None


@dataclass
class Text(Widget):
    """A STRING widget."""

    multiline: bool = False


@dataclass
class Choice(Widget):
    """A COMBO widget."""

    options: list[str] = field(default_factory=list)


@dataclass
class Output:
    """An output of a node."""

    id: str
    display_name: str | None = None
    io_type: str = ""


def _kind(name: str, input_type: type[Input] = Input) -> type:
    """A type of links or widgets, with the classes `Input` and `Output`, as in ComfyUI."""

    def make(cls: type, **defaults: Any) -> type:
        return type(cls.__name__, (cls,), {"__init__": _with(cls, defaults)})

    return type(name, (), {"Input": make(input_type, io_type=name), "Output": make(Output, io_type=name)})


def _with(cls: Any, defaults: Mapping[str, Any]) -> Any:
    return lambda self, *arguments, **named: cls.__init__(self, *arguments, **{**defaults, **named})


@dataclass
class Schema:
    """The description of a node."""

    node_id: str
    display_name: str
    category: str
    inputs: Sequence[Input]
    outputs: Sequence[Output]
    description: str = ""
    is_output_node: bool = False

    def __post_init__(self) -> None:
        ids = [port.id for port in self.inputs] + [port.id for port in self.outputs]
        assert len(set(ids)) == len(ids), f"{self.node_id}: ids must be unique between inputs and outputs"


class ComfyNode:
    """The base of nodes."""

    @classmethod
    def define_schema(cls) -> Schema:
        """The schema of the node."""
        raise NotImplementedError

    @classmethod
    def execute(cls, **inputs: Any) -> "NodeOutput":
        """Run the node."""
        raise NotImplementedError


class NodeOutput:
    """The results of a node."""

    def __init__(self, *args: Any, ui: Mapping[str, Any] | None = None) -> None:
        self.args, self.ui = args, ui


class ComfyExtension:
    """The base of extensions."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The nodes of the pack."""
        raise NotImplementedError


class InterruptProcessingException(Exception):
    """Raised when the user has interrupted a run."""


@dataclass
class Comfy:
    """The state of ComfyUI that tests use.

    Attributes:
        output: the output folder.
        nodes: by id, once the pack is loaded.
        bars: (steps done, total) of each progress bar.
        interrupt_after: steps after which the user interrupts.
    """

    output: Path
    nodes: dict[str, type[ComfyNode]] = field(default_factory=dict)
    bars: list[list[int]] = field(default_factory=list)
    interrupt_after: int | None = None

    def run(self, node_id: str, **inputs: Any) -> NodeOutput:
        """Execute a node; widgets without a value in `inputs` have their defaults."""
        schema = self.nodes[node_id].define_schema()
        defaults = {node_input.id: node_input.default for node_input in schema.inputs if isinstance(node_input, Widget)}
        assert inputs.keys() <= {node_input.id for node_input in schema.inputs}
        with torch.inference_mode():
            result = self.nodes[node_id].execute(**{**defaults, **inputs})
        assert len(result.args) == len(schema.outputs)
        return result

    def check_interrupted(self) -> None:
        """Raise what ComfyUI raises once the user has interrupted."""
        if self.interrupt_after is not None and sum(done for done, _ in self.bars) >= self.interrupt_after:
            raise InterruptProcessingException

    def bar(self, total: int) -> Any:
        """A progress bar."""
        bar = [0, total]
        self.bars.append(bar)

        def update(steps: int) -> None:
            bar[0] += steps

        return _module("bar", update=update)

    def save_path(self, prefix: str, output: str) -> tuple[str, str, int, str, str]:
        """Folder, name, next number, subfolder and prefix, as `folder_paths.get_save_image_path` gives them."""
        folder, name = (Path(output) / prefix).parent, Path(prefix).name
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name[len(name) + 1 :].split("_")[0]) for path in folder.glob(f"{name}_*")]
        return str(folder), name, max(numbers, default=0) + 1, str(Path(prefix).parent), prefix


def _module(module_name: str, **contents: Any) -> ModuleType:
    module = ModuleType(module_name)
    vars(module).update(contents)
    return module


@contextmanager
def comfy_with_the_pack(output: Path) -> Iterator[Comfy]:
    """ComfyUI with the pack, loaded from its folder under a name that no package has, as ComfyUI does."""
    comfy = Comfy(output=output)
    kinds: Sequence[tuple[str, str, type[Input]]] = [
        ("Image", "IMAGE", Input), ("Int", "INT", Number), ("Float", "FLOAT", Number), ("String", "STRING", Text),
        ("Combo", "COMBO", Choice), ("Boolean", "BOOLEAN", Widget),
    ]  # fmt: skip
    io = _module(
        "io", ComfyNode=ComfyNode, Schema=Schema, NodeOutput=NodeOutput, Custom=_kind,
        **{name: _kind(io_type, input_type) for name, io_type, input_type in kinds},
    )  # fmt: skip
    modules = {
        "comfy_api": _module("comfy_api"),
        "comfy_api.latest": _module("comfy_api.latest", io=io, ComfyExtension=ComfyExtension),
        "comfy": _module("comfy"),
        "comfy.utils": _module("comfy.utils", ProgressBar=comfy.bar),
        "comfy.model_management": _module(
            "comfy.model_management", throw_exception_if_processing_interrupted=comfy.check_interrupted
        ),
        "folder_paths": _module(
            "folder_paths", get_output_directory=lambda: str(comfy.output), get_save_image_path=comfy.save_path
        ),
    }
    name = "custom_nodes_process_painter"
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    assert spec is not None and spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for module_name, module in {**modules, name: pack}.items():
            patch.setitem(sys.modules, module_name, module)
        spec.loader.exec_module(pack)
        extension = asyncio.run(pack.comfy_entrypoint())
        assert isinstance(extension, ComfyExtension)
        comfy.nodes = {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}
        yield comfy
        for module_name in [loaded for loaded in sys.modules if loaded.startswith(f"{name}.")]:
            del sys.modules[module_name]
