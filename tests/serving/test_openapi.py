"""The OpenAPI document is valid and describes exactly the served routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from tests.serving.scripted import ScriptedEngine
from wbc import errors
from wbc.http import create_app
from wbc.http.openapi import create_document
from wbc.settings import Settings

BENTOML = {"/livez", "/readyz", "/metrics"}
"""Paths that BentoML serves next to the application."""


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create_document(Settings(max_files=7, max_body_bytes=3 * 1048576))


def test_is_a_valid_document(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    validate(described)


def test_names_exactly_the_routes_and_methods(described: dict[str, Any]) -> None:
    app = create_app(ScriptedEngine, Settings())
    routes = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route) and route.methods
        for method in route.methods - {"HEAD"}
    }
    told = {(path, method) for path, operations in described["paths"].items() for method in operations}
    assert {(path, method) for path, method in told if path not in BENTOML} == routes
    assert {path for path, _ in told} >= BENTOML


def test_every_error_that_can_be_answered_is_listed(described: dict[str, Any]) -> None:
    listed = {
        (int(status), code)
        for operations in described["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in response["content"].get("application/json", {}).get("schema", {}).get("allOf", [{}, {}])[1]
        .get("properties", {}).get("code", {}).get("enum", [])
    }  # fmt: skip
    # At start-up, on the command line, or the base of others: no request is answered with these.
    elsewhere = (
        errors.BundleError,
        errors.DeviceUnavailable,
        errors.DataError,
        errors.ExportError,
        errors.UnreadableFile,
    )
    raised = {
        (found.status, found.code)
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.WBCError) and not issubclass(found, elsewhere)
    }
    assert listed - {(404, "not_found")} == raised - {(errors.InputError.status, errors.InputError.code)}
    assert all(HTTPStatus(status) for status, _ in listed)


def test_limits_are_those_of_the_settings(described: dict[str, Any]) -> None:
    bodies = {path: described["paths"][path]["post"]["requestBody"] for path in ("/predict", "/predict/batch")}
    assert "3 MiB" in bodies["/predict"]["description"]
    field = bodies["/predict/batch"]["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert (field["minItems"], field["maxItems"]) == (1, 7)


def test_answers_are_described_under_their_names_on_the_wire(described: dict[str, Any]) -> None:
    answer = described["components"]["schemas"]["PredictionAnswer"]
    assert {"class", "confidence", "all_probabilities", "gradcam_image", "llm_report"} <= set(answer["required"])
    assert "label" not in answer["properties"]
