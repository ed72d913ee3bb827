"""The files that bring this package to clusters name what there is."""

import re
import tomllib
from pathlib import Path

import yaml

from conf.compose import compose
from pipelines.synthesis.config import synth_config
from process_painter import PACKAGES
from tests.pipelines.runs import REPOSITORY

DEPLOY = REPOSITORY / "deploy"


def test_the_manifest_runs_a_command_that_there_is_on_the_pinned_ray() -> None:
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())
    program, verb, *words = job["spec"]["entrypoint"].split()
    assert (program, verb) == ("process-painter", "synth")
    config = synth_config(compose("synth", words))
    assert (config.cluster.kind, config.cluster.code) == ("ray", "installed")
    pinned = re.search(r"^ray==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None and job["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]
    pods = [job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
    for pod in pods:
        spec = pod["template"]["spec"]
        mounts = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in spec["volumes"]}
    assert Path(str(config.out)).is_relative_to("/data")


def test_the_image_copies_what_the_package_is_made_of() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert all((REPOSITORY / name).exists() for name in copied)
    assert {"process_painter", *PACKAGES, "pyproject.toml", "constraints.txt"} <= set(copied)
    assert {line.split()[-1] for line in lines if line.startswith("FROM ")} == {"base", "cpu", "cuda"}
    installed = [match[1].split(",") for line in lines if (match := re.search(r"pip install .*'\.\[(.+)\]'", line))]
    assert installed == [["remote", "cluster"]] * 2  # object stores, and a head that takes jobs


def test_the_extra_for_clusters_brings_rays_client_and_its_job_server_with_pinned_packages() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.match(r"ray\[client,default\]", extras["cluster"][0])
    pinned = (REPOSITORY / "constraints.txt").read_text()
    assert {"aiohttp-cors", "grpcio", "py-spy", "opencensus"} <= set(re.findall(r"^(.+)==", pinned, re.MULTILINE))
