"""As much of kustomize as deploy/kubernetes uses: resources, images and strategic merge patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "labels", "images", "patches"}


def render(folder: Path) -> list[Resource]:
    """The resources that a kustomization makes."""
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(spec) <= KNOWN, f"{folder}: this test renders {', '.join(sorted(KNOWN))} alone"
    resources: list[Resource] = []
    for name in spec["resources"]:
        path = folder / name
        resources += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in spec.get("patches", []):
        changes = yaml.safe_load((folder / patch["path"]).read_text())
        (at,) = (index for index, one in enumerate(resources) if identity(one) == identity(changes))
        resources[at] = merged(resources[at], changes)
    for image in spec.get("images", []):
        for container in containers(resources):
            name = container["image"].partition(":")[0]
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image['newTag']}"
    return resources


def identity(resource: Resource) -> tuple[str, str]:
    """Kind and name."""
    return resource["kind"], resource["metadata"]["name"]


def containers(resources: list[Resource]) -> list[dict[str, Any]]:
    """Of all deployments."""
    return [
        one
        for resource in resources
        if resource["kind"] == "Deployment"
        for one in resource["spec"]["template"]["spec"]["containers"]
    ]


def merged(base: Any, patch: Any) -> Any:
    """Strategic merge: mappings by key, lists of named things by name, all else replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {key: merged(base.get(key), patch[key]) if key in patch else base[key] for key in {**base, **patch}}
    if _named(base) and _named(patch):
        by_name = {one["name"]: one for one in base}
        return list({**by_name, **{one["name"]: merged(by_name.get(one["name"]), one) for one in patch}}.values())
    return patch


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)
