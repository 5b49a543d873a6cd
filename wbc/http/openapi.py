"""The OpenAPI 3.1 document of the served routes, generated from the pydantic models and errors."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from wbc import errors
from wbc.errors import WBCError
from wbc.http.parameters import BatchQuery, ExplainQuery, PredictQuery, describe_query
from wbc.images import ACCEPTED
from wbc.schemas import BatchAnswer, ErrorAnswer, ExplainAnswer, ModelInfo, PredictionAnswer
from wbc.settings import Settings

ANSWERS: tuple[type[BaseModel], ...] = (PredictionAnswer, BatchAnswer, ExplainAnswer, ModelInfo, ErrorAnswer)

MODEL_ERRORS = (errors.Unauthorized, WBCError)
BATCH_ERRORS = (
    *MODEL_ERRORS,
    errors.InvalidParameter,
    errors.UploadTimeout,
    errors.BodyTooLarge,
    errors.Overloaded,
    errors.NotReady,
    errors.DeadlineExceeded,
)
IMAGE_ERRORS = (
    *BATCH_ERRORS,
    errors.MalformedImage,
    errors.ImageTooLarge,
    errors.UnsupportedFormat,
    errors.ModelError,
)
"""Errors of one image; in a batch they are results of single files."""

Json = dict[str, Any]


def create_document(settings: Settings) -> Json:
    """Create the document with the limits of the settings."""
    _, schemas = models_json_schema(
        [(answer, "serialization") for answer in ANSWERS], ref_template="#/components/schemas/{model}"
    )
    file: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": settings.max_files}
    one, many = _describe_upload(file, settings.max_body_bytes), _describe_upload(files, settings.max_batch_body_bytes)
    name: Json = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    asset = _describe_plain("asset", "Return a file of the web page.", "*/*")["get"]
    asset |= {"parameters": [name], "responses": asset["responses"] | {"404": _describe_error(404, ["not_found"])}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "White-blood-cell classification",
            "version": "1",
            "description": "For research use only. All errors have the same schema; `code` is stable.",
        },
        "paths": {
            "/predict": {
                "post": _describe("predict", "Classify one image.", PredictionAnswer, IMAGE_ERRORS, PredictQuery, one)
            },
            "/predict/batch": {
                "post": _describe(
                    "predictBatch", "Classify and count many images.", BatchAnswer, BATCH_ERRORS, BatchQuery, many
                )
            },
            "/explain": {
                "post": _describe(
                    "explain", "Write a report on one image.", ExplainAnswer, IMAGE_ERRORS, ExplainQuery, one
                )
            },
            "/model": {"get": _describe("model", "Describe the model that is served.", ModelInfo, MODEL_ERRORS)},
            "/openapi.json": _describe_plain("openapi", "Return this document.", "application/json"),
            "/": _describe_plain("page", "Return the web page.", "text/html"),
            "/web/{name}": {"get": asset},
            "/livez": _describe_plain("livez", "Liveness probe.", "text/plain", 503),
            "/readyz": _describe_plain("readyz", "Readiness probe: all services respond.", "text/plain", 503),
            "/metrics": _describe_plain("metrics", "Prometheus metrics.", "text/plain"),
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _describe(
    name: str,
    summary: str,
    answer: type[BaseModel],
    raised: Iterable[type[WBCError]],
    query: type[BaseModel] | None = None,
    body: Json | None = None,
) -> Json:
    """Describe an operation of the engine; the key is needed if `WBC_API_KEY` is set."""
    codes: dict[int, list[str]] = {}
    for error in raised:
        codes.setdefault(error.status, []).append(error.code)
    parameters: list[Json] = [
        {
            "name": parameter,
            "in": "query",
            "description": schema["description"],
            "schema": {key: schema[key] for key in ("type", "enum", "default") if schema.get(key) is not None},
        }
        for parameter, schema in (describe_query(query) if query else {}).items()
    ]
    request_id = {"name": "X-Request-ID", "in": "header", "description": "request ID", "schema": {"type": "string"}}
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}, {"key": []}],
        "parameters": [*parameters, request_id],
        "responses": {
            "200": _describe_response("OK", "application/json", _reference(answer)),
            **{str(status): _describe_error(status, codes[status]) for status in sorted(codes)},
        },
        **({"requestBody": body} if body else {}),
    }


def _describe_plain(name: str, summary: str, media_type: str, failure: int | None = None) -> Json:
    """Describe a GET operation whose response has no schema, with an optional failure status."""
    responses = {"200": _describe_response("OK", media_type)}
    if failure is not None:
        responses[str(failure)] = _describe_response(HTTPStatus(failure).phrase, "text/plain")
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _describe_upload(field: Json, max_bytes: int) -> Json:
    schema = {"type": "object", "required": ["file"], "properties": {"file": field}}
    return {
        "required": True,
        "description": f"{ACCEPTED}; at most {max_bytes / 1048576:g} MiB in total",
        "content": {"multipart/form-data": {"schema": schema}},
    }


def _describe_error(status: int, codes: list[str]) -> Json:
    schema = {"allOf": [_reference(ErrorAnswer), {"properties": {"code": {"enum": codes}}}]}
    response = _describe_response(f"{HTTPStatus(status).phrase}: {', '.join(codes)}", "application/json", schema)
    if status in (429, 503):
        response["headers"]["Retry-After"] = {"description": "seconds", "schema": {"type": "integer"}}
    return response


def _describe_response(description: str, media_type: str, schema: Json | None = None) -> Json:
    return {"description": description, "content": {media_type: {"schema": schema} if schema else {}}, "headers": {}}


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
