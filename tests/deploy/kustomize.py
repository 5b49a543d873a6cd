"""The subset of kustomize that deploy/kubernetes uses: resources, images and strategic merge patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "labels", "images", "patches"}


def render(folder: Path) -> list[Resource]:
    """Return the resources of a kustomization."""
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(spec) <= KNOWN, f"{folder}: this test renders only {', '.join(sorted(KNOWN))}"
    resources: list[Resource] = []
    for name in spec["resources"]:
        path = folder / name
        resources += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in spec.get("patches", []):
        changes = yaml.safe_load((folder / patch["path"]).read_text())
        (at,) = (index for index, one in enumerate(resources) if identify(one) == identify(changes))
        resources[at] = merge(resources[at], changes)
    for image in spec.get("images", []):
        for container in list_containers(resources):
            name = container["image"].partition(":")[0]
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image['newTag']}"
    return resources


def identify(resource: Resource) -> tuple[str, str]:
    """Return kind and name."""
    return resource["kind"], resource["metadata"]["name"]


def list_containers(resources: list[Resource]) -> list[dict[str, Any]]:
    """Return the containers of all deployments."""
    return [
        one
        for resource in resources
        if resource["kind"] == "Deployment"
        for one in resource["spec"]["template"]["spec"]["containers"]
    ]


def merge(base: Any, patch: Any) -> Any:
    """Merge strategically: mappings by key, lists of named items by name; replace everything else."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {key: merge(base.get(key), patch[key]) if key in patch else base[key] for key in {**base, **patch}}
    if _named(base) and _named(patch):
        by_name = {one["name"]: one for one in base}
        return list({**by_name, **{one["name"]: merge(by_name.get(one["name"]), one) for one in patch}}.values())
    return patch


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)
