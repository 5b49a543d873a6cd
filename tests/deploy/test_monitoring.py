"""Prometheus, its alerts and the Grafana dashboard compared with the metrics of a server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from tests.drawn import drawn_cell
from tests.served import ROOT
from wbc.images import encode_png
from wbc.settings import Settings

FOLDER = ROOT / "deploy"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "wbc.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())

ONLY_WITH_PROVIDERS = {"wbc_explainer_failures_total"}
SELECTOR = re.compile(r"\b(wbc_\w+|up)\b(?:\{([^}]*)\})?")


def expressions() -> Iterator[str]:
    """Yield every expression of the dashboard, its variables and the alerts."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["query"]["query"]
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def metrics_of(expression: str) -> set[str]:
    return {name for name, _ in SELECTOR.findall(expression)} - {"up"}


def labels_of(expression: str) -> set[str]:
    """Return the labels that an expression selects or groups by."""
    found = {name for _, inner in SELECTOR.findall(expression) for name in re.findall(r"(\w+)\s*[=!]", inner)}
    for group in re.findall(r"(?:by|ignoring)\s*\(([^)]*)\)", expression):
        found |= {name.strip() for name in group.split(",")}
    return found


@pytest.fixture(scope="module")
def served(server_url: str) -> dict[str, set[str]]:
    """Labels by sample name, from `/metrics` after a response and an error."""
    cell = encode_png(drawn_cell("Monocyte", np.random.default_rng(5)))
    assert httpx.post(f"{server_url}/predict", files={"file": cell}, timeout=60).status_code == 200
    assert httpx.post(f"{server_url}/predict", files={"file": b"no image"}, timeout=60).status_code == 415
    found: dict[str, set[str]] = {}
    for line in httpx.get(f"{server_url}/metrics", timeout=30).text.splitlines():
        sample = re.match(r"(wbc_\w+)(?:\{(.*)\})? ", line)
        if sample:
            found.setdefault(sample[1], set()).update(re.findall(r'(\w+)="', sample[2] or ""))
    return found


def test_every_displayed_metric_is_exported(served: dict[str, set[str]]) -> None:
    looked_at = {name for expression in expressions() for name in metrics_of(expression)}
    assert len(looked_at) > 10
    assert looked_at - set(served) <= ONLY_WITH_PROVIDERS
    defined = (ROOT / "wbc" / "http" / "metrics.py").read_text()
    for name in ONLY_WITH_PROVIDERS:
        assert f'"{name.removesuffix("_total")}"' in defined


def test_every_displayed_label_is_exported(served: dict[str, set[str]]) -> None:
    of_prometheus = {"instance", "job"}
    for expression in expressions():
        known = {label for name in metrics_of(expression) for label in served.get(name, {"provider", "reason"})}
        assert labels_of(expression) <= known | of_prometheus, expression


def test_every_exported_metric_is_displayed(served: dict[str, set[str]]) -> None:
    looked_at = {base(name) for expression in expressions() for name in metrics_of(expression)}
    assert {base(name) for name in served} <= looked_at


def base(name: str) -> str:
    return re.sub(r"_(total|bucket|sum|count|created)$", "", name)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_brackets_close(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_alerts_are_explained() -> None:
    told = (ROOT / "docs" / "operations.md").read_text()
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
            assert f"`{rule['alert']}`" in told


def test_compose_mounts_files_that_exist() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), f"{name} mounts {source}"
            else:
                assert source in COMPOSE["volumes"]


def test_compose_publishes_only_on_this_machine() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    wbc = COMPOSE["services"]["wbc"]
    assert wbc["read_only"] is True
    assert wbc["cap_drop"] == ["ALL"]
    names = {name.removeprefix("WBC_").lower() for name in wbc["environment"] if name.startswith("WBC_")}
    assert names <= set(Settings.model_fields)
    assert {name: value for name, value in wbc["environment"].items() if name.endswith("_KEY") and value} == {}


def test_compose_and_prometheus_agree() -> None:
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    mounted = {Path(volume.split(":")[1]).name for volume in COMPOSE["services"]["prometheus"]["volumes"]}
    assert set(prometheus["rule_files"]) <= mounted
    (job,) = prometheus["scrape_configs"]
    host, port = job["static_configs"][0]["targets"][0].split(":")
    assert COMPOSE["services"][host]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_grafana_finds_its_data_source_and_dashboards() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    uids: set[Any] = {
        target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in [panel, *panel["targets"]]
    }
    assert uids == {source["uid"]}
    folder = yaml.safe_load((provisioning / "dashboards" / "wbc.yaml").read_text())["providers"][0]["options"]["path"]
    mounts = {volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]}
    assert folder in mounts
