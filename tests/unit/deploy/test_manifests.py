"""Manifests for KubeRay: held against KubeRay's own description, Ray Serve's schema, and our settings. Offline."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "kuberay"
SCHEMA = json.loads(Path(__file__).with_name("rayservice_schema.json").read_text(encoding="utf-8"))
MANIFESTS = sorted(DEPLOY.glob("*.yaml"))


def _read(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return manifest


def _faults(manifest: dict[str, Any]) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in Draft202012Validator(SCHEMA).iter_errors(manifest)]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_a_rayservice(path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    manifest = _read(path)
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayService")
    assert _faults(manifest) == []


def test_mistakes_in_a_manifest_are_found() -> None:
    manifest = _read(MANIFESTS[0])
    misspelt, wrong, missing = (copy.deepcopy(manifest) for _ in range(3))
    misspelt["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["minReplica"] = 1
    wrong["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplicas"] = "six"
    del missing["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert ["minReplica" in fault for fault in _faults(misspelt)] == [True]
    assert ["'six' is not of type 'integer'" in fault for fault in _faults(wrong)] == [True]
    assert ["'containers' is a required property" in fault for fault in _faults(missing)] == [True]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_what_ray_serve_is_told_are_settings_that_there_are(path: Path) -> None:
    pytest.importorskip("ray")
    from ray.serve.schema import ServeDeploySchema

    from pagoda.server.replicas import deployment

    config = ServeDeploySchema.model_validate(yaml.safe_load(_read(path)["spec"]["serveConfigV2"]))
    assert [each.name for each in config.applications] == [deployment.REPLICAS, deployment.FRONT]
    for application in config.applications:
        module, _, builder = application.import_path.partition(":")
        assert module == deployment.__name__
        assert callable(getattr(deployment, builder))
        deployment.read_settings(dict(application.args))


def test_workers_have_room_for_what_they_get() -> None:
    manifest = _read(DEPLOY / "replicas.yaml")
    args = yaml.safe_load(manifest["spec"]["serveConfigV2"])["applications"][0]["args"]
    (group,) = manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert int(group["rayStartParams"]["num-cpus"]) == args["num_cpus_per_replica"]
    assert (group["minReplicas"], group["maxReplicas"]) == (args["data_parallel_size"], args["max_replicas"])
    ranks = _read(DEPLOY / "ranks.yaml")
    args = yaml.safe_load(ranks["spec"]["serveConfigV2"])["applications"][0]["args"]
    (group,) = ranks["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert group["replicas"] == args["tensor_parallel_size"] * args["pipeline_parallel_size"]
