"""The example workflows: they name only nodes and inputs that exist, and what links carry fits at both ends."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.comfyui.stand_in import PACK, Choice, Comfy, Number, Widget, comfy_with_the_pack

WORKFLOWS = sorted((PACK / "example_workflows").glob("*.json"))
OF_COMFYUI: dict[str, dict[str, Any]] = {
    "LoadImage": {"inputs": [], "outputs": ["IMAGE", "MASK"]},
    "PreviewImage": {"inputs": [("images", "IMAGE")], "outputs": []},
}
"""Nodes of ComfyUI itself that the workflows use: their links."""


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    with comfy_with_the_pack(tmp_path_factory.mktemp("output")) as comfy:
        yield comfy


def _links_of(comfy: Comfy, kind: str) -> dict[str, Any]:
    if kind in OF_COMFYUI:
        return OF_COMFYUI[kind]
    schema = comfy.nodes[kind].define_schema()
    links = [(one.id, one.io_type) for one in schema.inputs if not isinstance(one, Widget)]
    return {"inputs": links, "outputs": [one.io_type for one in schema.outputs]}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_nodes_inputs_and_links_that_exist(comfy: Comfy, path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for node in nodes.values():
        links = _links_of(comfy, node["type"])
        assert [(one["name"], one["type"]) for one in node["inputs"]] == links["inputs"], node["type"]
        assert [one["type"] for one in node["outputs"]] == links["outputs"], node["type"]
    for number, source, slot, target, entry, kind in workflow["links"]:
        assert nodes[source]["outputs"][slot]["type"] == kind == nodes[target]["inputs"][entry]["type"]
        assert number in nodes[source]["outputs"][slot]["links"] and nodes[target]["inputs"][entry]["link"] == number
    assert {node["type"] for node in nodes.values()} >= set(comfy.nodes), "every node of the pack is shown"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_values_in_workflows_are_those_that_widgets_allow(comfy: Comfy, path: Path) -> None:
    for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
        if node["type"] in OF_COMFYUI:
            continue
        values = iter(node["widgets_values"])
        for widget in comfy.nodes[node["type"]].define_schema().inputs:
            if not isinstance(widget, Widget):
                continue
            value = next(values)
            assert isinstance(value, type(widget.default)), widget.id
            if isinstance(widget, Choice):
                assert value in widget.options
            if isinstance(widget, Number):
                assert widget.min is not None and widget.max is not None and widget.min <= value <= widget.max
                if widget.control_after_generate:
                    assert next(values) in ("fixed", "increment", "decrement", "randomize")
        assert list(values) == []


def test_the_pack_is_described_for_the_registry_as_the_project_is() -> None:
    described = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((PACK.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = described["project"]
    assert (own["version"], own["requires-python"]) == (project["version"], project["requires-python"])
    assert own["license"] == {"text": project["license"]}
    assert {"PublisherId", "DisplayName", "requires-comfyui"} <= described["tool"]["comfy"].keys()
    assert (PACK / "requirements.txt").read_text(encoding="utf-8").split() == own["dependencies"]
