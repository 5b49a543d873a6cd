"""Check of responses against the OpenAPI document of the same server."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

ERROR = {"$ref": "#/components/schemas/ErrorAnswer"}


@cache
def contract_of(url: str) -> Contract:
    """The contract of a server, fetched once."""
    return Contract(httpx.get(f"{url}/openapi.json").json())


class Contract:
    """Responses that an OpenAPI document describes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def check(self, response: httpx.Response) -> httpx.Response:
        """Check a response against the document and return it."""
        request = response.request
        operation = self._operation(request.method.lower(), request.url.path)
        assert response.headers["x-request-id"]
        if operation is None:
            assert response.status_code in (404, 405), request.url
            self._validate(ERROR, response)
            return response
        promised = operation["responses"]
        assert str(response.status_code) in promised, f"{request.method} {request.url}: {response.text[:300]}"
        content = promised[str(response.status_code)]["content"]
        media_type = response.headers["content-type"].split(";")[0]
        assert media_type in content or "*/*" in content, media_type
        for header in promised[str(response.status_code)]["headers"]:
            assert header in response.headers
        if schema := content.get(media_type, {}).get("schema"):
            self._validate(schema, response)
        return response

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self.document["paths"].items():
            pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", template))
            if re.fullmatch(pattern, path) and method in operations:
                return dict(operations[method])
        return None

    def _validate(self, schema: dict[str, Any], response: httpx.Response) -> None:
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(response.json())
