"""The OpenAPI 3.1 document of exactly the routes that are served, from the schemas and errors that are used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from wbc.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    ImageTooLarge,
    InvalidParameter,
    MalformedImage,
    ModelError,
    NotReady,
    Overloaded,
    Unauthorized,
    UnsupportedFormat,
    UploadTimeout,
    WBCError,
)
from wbc.explain.wording import Language
from wbc.http.engine import GradCamMethod
from wbc.images import ACCEPTED
from wbc.schemas import BatchAnswer, ErrorAnswer, ExplainAnswer, ModelInfo, PredictionAnswer
from wbc.settings import Settings

ANSWERS: tuple[type[BaseModel], ...] = (PredictionAnswer, BatchAnswer, ExplainAnswer, ModelInfo, ErrorAnswer)

FAILURE = WBCError
BATCH_ERRORS = (
    InvalidParameter,
    Unauthorized,
    UploadTimeout,
    BodyTooLarge,
    Overloaded,
    NotReady,
    DeadlineExceeded,
    FAILURE,
)
IMAGE_ERRORS = (*BATCH_ERRORS, MalformedImage, ImageTooLarge, UnsupportedFormat, ModelError)
"""Those of one image; in a batch they stand beside the file."""

Json = dict[str, Any]


def document(settings: Settings) -> Json:
    """The document, with the limits of these settings."""
    _, schemas = models_json_schema(
        [(answer, "serialization") for answer in ANSWERS], ref_template="#/components/schemas/{model}"
    )
    explain, language = _flag("explain", "a report", True), _words("language", "of the report", get_args(Language))
    gradcam = _words("gradcam", "who makes the map", get_args(GradCamMethod))
    layer = _query("layer", "layer of the Keras graph that the map is taken from", {"type": "string"})
    one, many = _upload(1, settings.max_body_bytes), _upload(settings.max_files, settings.max_batch_body_bytes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "White-blood-cell classification",
            "version": "1",
            "description": "For research use. Every error has one schema; `code` is stable.",
        },
        "paths": {
            "/predict": {
                "post": _operation(
                    "predict",
                    "Classify one image.",
                    PredictionAnswer,
                    IMAGE_ERRORS,
                    parameters=[explain, language, gradcam, layer],
                    body=one,
                )
            },
            "/predict/batch": {
                "post": _operation(
                    "predictBatch",
                    "Classify many images, each by itself, and count them.",
                    BatchAnswer,
                    BATCH_ERRORS,
                    parameters=[
                        _flag("explain", "a report on each image", False),
                        _flag("heatmaps", "the pictures of each image", False),
                        language,
                    ],
                    body=many,
                )
            },
            "/explain": {
                "post": _operation(
                    "explain", "Report on one image.", ExplainAnswer, IMAGE_ERRORS, parameters=[language], body=one
                )
            },
            "/model": {"get": _operation("model", "Which model answers.", ModelInfo, (Unauthorized, FAILURE))},
            "/openapi.json": {"get": _plain("openapi", "This document.", "application/json")},
            "/": {"get": _plain("page", "The page.", "text/html")},
            "/web/{name}": {"get": _asset()},
            "/livez": {"get": _plain("livez", "Whether the process has to be left alone.", "text/plain", 503)},
            "/readyz": {"get": _plain("readyz", "Whether every service answers.", "text/plain", 503)},
            "/metrics": {"get": _plain("metrics", "Prometheus metrics.", "text/plain")},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _operation(
    name: str,
    summary: str,
    answer: type[BaseModel],
    errors: Iterable[type[WBCError]],
    *,
    parameters: Sequence[Json] = (),
    body: Json | None = None,
) -> Json:
    """An operation that asks the engine; its key is needed where one is set (`WBC_API_KEY`)."""
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(error.status, []).append(error.code)
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "security": [{}, {"key": []}],
        "parameters": [*parameters, _header("X-Request-ID", "an id to find the request in the log by")],
        "responses": {
            "200": _response("OK", {"application/json": {"schema": _ref(answer)}}),
            **{str(status): _error(status, codes[status]) for status in sorted(codes)},
        },
    }
    if body is not None:
        operation["requestBody"] = body
    return operation


def _plain(name: str, summary: str, media_type: str, unwell: int | None = None) -> Json:
    """An operation whose answer has no schema, and which may say that the service is unwell."""
    responses: Json = {"200": _response("OK", {media_type: {}})}
    if unwell is not None:
        responses[str(unwell)] = _response(HTTPStatus(unwell).phrase, {"text/plain": {}})
    return {"operationId": name, "summary": summary, "responses": responses}


def _asset() -> Json:
    operation = _plain("asset", "A file of the page.", "*/*")
    operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    operation["responses"]["404"] = _error(404, ["not_found"])
    return operation


def _upload(max_files: int, max_bytes: int) -> Json:
    file: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
    field = file if max_files == 1 else {"type": "array", "items": file, "minItems": 1, "maxItems": max_files}
    schema = {"type": "object", "required": ["file"], "properties": {"file": field}}
    return {
        "required": True,
        "description": f"{ACCEPTED}; at most {max_bytes / 1048576:g} MiB in all",
        "content": {"multipart/form-data": {"schema": schema}},
    }


def _error(status: int, codes: Sequence[str]) -> Json:
    schema = {"allOf": [_ref(ErrorAnswer), {"properties": {"code": {"enum": list(codes)}}}]}
    response = _response(f"{HTTPStatus(status).phrase}: {', '.join(codes)}", {"application/json": {"schema": schema}})
    if status in (429, 503):
        response["headers"]["Retry-After"] = {"description": "seconds", "schema": {"type": "integer"}}
    return response


def _response(description: str, content: Json) -> Json:
    return {"description": description, "content": content, "headers": {}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _flag(name: str, description: str, default: bool) -> Json:
    return _query(name, description, {"type": "boolean", "default": default})


def _words(name: str, description: str, words: Sequence[str]) -> Json:
    return _query(name, description, {"type": "string", "enum": list(words), "default": words[0]})


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
