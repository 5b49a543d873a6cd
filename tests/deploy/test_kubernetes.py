"""Kubernetes manifests: valid by the schemas of the API, and consistent with the product."""

from __future__ import annotations

import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.kustomize import Resource, list_containers, render
from tests.served import ROOT
from wbc.settings import Settings

FOLDER = ROOT / "deploy" / "kubernetes"
VARIANTS = {"base": "base", "slim": "overlays/slim", "gpu": "overlays/gpu"}
API_VERSIONS = ("1.30", "1.37")
PROBE_ANSWER_S = 2.5
"""Longest response time of `/readyz` with a dead process."""


@pytest.fixture(params=VARIANTS)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return render(FOLDER / VARIANTS[request.param])


def pod(resources: list[Resource]) -> dict[str, Any]:
    (deployment,) = (one for one in resources if one["kind"] == "Deployment")
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def environment(resources: list[Resource]) -> dict[str, Any]:
    (container,) = list_containers(resources)
    return {env["name"]: env.get("value", env.get("valueFrom")) for env in container["env"]}


@pytest.mark.parametrize("version", API_VERSIONS)
def test_schemas(resources: list[Resource], version: str) -> None:
    kinds = [one["kind"] for one in resources]
    expected = ["Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"]
    assert kinds == expected
    for one in resources:
        kubernetes_validate.validate(one, version, strict=True)


def test_an_unknown_field_is_invalid() -> None:
    (deployment, *_) = render(FOLDER / "base")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, API_VERSIONS[-1], strict=True)


def test_every_file_is_used() -> None:
    used = {FOLDER / "prometheus-adapter.yaml"}
    for folder in VARIANTS.values():
        path = FOLDER / folder / "kustomization.yaml"
        spec = yaml.safe_load(path.read_text())
        used |= {path} | {path.parent / name for name in spec["resources"] if name.endswith(".yaml")}
        used |= {path.parent / patch["path"] for patch in spec.get("patches", [])}
    assert set(FOLDER.rglob("*.yaml")) == used


def test_images_are_of_this_version(resources: list[Resource]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (container,) = list_containers(resources)
    assert container["image"] in {f"{name}:{version}" for name in ("wbc", "wbc-slim", "wbc-gpu")}


def test_runs_without_privileges(resources: list[Resource]) -> None:
    spec, (container,) = pod(resources), list_containers(resources)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 1034
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    written = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert written == {"/tmp"}
    assert environment(resources)["BENTOML_HOME"].startswith("/tmp/")


def test_settings_exist_and_keys_come_from_a_secret(resources: list[Resource]) -> None:
    found = environment(resources)
    names = {name.removeprefix("WBC_").lower() for name in found if name.startswith("WBC_")}
    assert names <= set(Settings.model_fields)
    for name, value in found.items():
        if name.endswith("_KEY"):
            assert set(value) == {"secretKeyRef"}, f"{name} is not from a Secret"
    assert "optional" not in found["WBC_API_KEY"]["secretKeyRef"], "the pod must not start without its key"


def test_a_dead_process_is_detected_within_ten_seconds(resources: list[Resource]) -> None:
    (container,) = list_containers(resources)
    ready = container["readinessProbe"]
    assert ready["httpGet"]["path"] == "/readyz"
    assert ready["timeoutSeconds"] > PROBE_ANSWER_S
    assert ready["failureThreshold"] * ready["periodSeconds"] + ready["timeoutSeconds"] <= 10
    alive = container["livenessProbe"]
    assert alive["httpGet"]["path"] == "/livez"
    assert alive["timeoutSeconds"] <= 5
    assert alive["failureThreshold"] * alive["periodSeconds"] >= 30, "a busy pod must not be killed"
    start = container["startupProbe"]
    assert start["failureThreshold"] * start["periodSeconds"] >= 120


def test_requests_in_progress_end_before_the_pod(resources: list[Resource]) -> None:
    found, (container,) = environment(resources), list_containers(resources)
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    longest = float(found["WBC_UPLOAD_TIMEOUT_S"]) + float(found["WBC_REQUEST_TIMEOUT_S"])
    assert pod(resources)["terminationGracePeriodSeconds"] > pause + longest


def test_threads_follow_a_quota_of_whole_cpus(resources: list[Resource]) -> None:
    (container,) = list_containers(resources)
    asked, limit = container["resources"]["requests"], container["resources"]["limits"]
    assert asked["cpu"] == limit["cpu"]
    assert float(limit["cpu"]).is_integer()
    assert "WBC_THREADS" not in environment(resources)


def test_variants() -> None:
    slim, gpu = render(FOLDER / "overlays" / "slim"), render(FOLDER / "overlays" / "gpu")
    assert environment(slim)["WBC_GRADCAM"] == environment(gpu)["WBC_GRADCAM"] == "false"
    assert environment(gpu)["WBC_DEVICE"] == "cuda"
    (container,) = list_containers(gpu)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["limits"]["memory"] != list_containers(slim)[0]["resources"]["limits"]["memory"]
    assert environment(gpu)["WBC_API_KEY"] == environment(slim)["WBC_API_KEY"], "a patch must keep other variables"


def test_autoscaler_uses_the_metric_of_the_adapter(resources: list[Resource]) -> None:
    (scaler,) = (one for one in resources if one["kind"] == "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    adapter = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())
    assert [rule["name"]["as"] for rule in adapter["rules"]["custom"]] == [metric["pods"]["metric"]["name"]]
    assert int(metric["pods"]["target"]["averageValue"]) < Settings.model_fields["max_concurrency"].default
