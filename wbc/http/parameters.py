"""Parse the API key, request ID and query parameters."""

from __future__ import annotations

import hmac
import random
import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationError
from pydantic.json_schema import SkipJsonSchema
from starlette.datastructures import Headers
from starlette.requests import Request

from wbc.errors import InvalidParameter, Unauthorized
from wbc.explain.wording import Language
from wbc.http.engine import GradCamMethod

FLAGS = {"true": True, "1": True, "false": False, "0": False}
Flag = Annotated[bool, Strict(), BeforeValidator(lambda value: FLAGS.get(str(value).lower(), value))]


class ExplainQuery(BaseModel):
    """Query parameters of `POST /explain`."""

    language: Language = Field("en", description="language of the report")


class PredictQuery(ExplainQuery):
    """Query parameters of `POST /predict`."""

    explain: Flag = Field(True, description="write a report")
    gradcam: GradCamMethod = Field("closed_form", description="source of the activation map")
    layer: str | SkipJsonSchema[None] = Field(None, description="layer of the Keras graph for the activation map")


class BatchQuery(ExplainQuery):
    """Query parameters of `POST /predict/batch`."""

    explain: Flag = Field(False, description="write a report on each image")
    heatmaps: Flag = Field(False, description="include the images of each cell")


Query = TypeVar("Query", bound=BaseModel)


def parse_query(request: Request, model: type[Query]) -> Query:
    """Parse the query parameters of a route; unknown ones are ignored.

    Raises:
        InvalidParameter: a value is not accepted.
    """
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        accepted = describe_query(model)[name].get("enum", ("true", "false"))
        value = request.query_params[name][:40]
        raise InvalidParameter(f"{name}={value!r} is not accepted; use {' or '.join(accepted)}") from None


def describe_query(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each query parameter."""
    return dict(model.model_json_schema()["properties"])


def check_key(request: Request, key: str | None) -> None:
    """Check the API key, if one is configured.

    Raises:
        Unauthorized: the key is missing or wrong.
    """
    given = request.headers.get("x-api-key", "")
    if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
        received = "a wrong API key" if given else "no API key"
        raise Unauthorized(f"received {received}; send the key of this server in the header X-API-Key")


def request_id(headers: Headers) -> str:
    """Return the `X-Request-ID` if it has 1-64 letters, digits, `.`, `_` or `-`, else a random one."""
    given = headers.get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else f"{random.getrandbits(128):032x}"
