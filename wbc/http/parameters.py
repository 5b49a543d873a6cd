"""What a request says beside its files: key, request id and query parameters."""

from __future__ import annotations

import hmac
import random
import re
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request

from wbc.errors import InvalidParameter, Unauthorized

Choice = TypeVar("Choice", bound=str)


def check_key(request: Request, key: str | None) -> None:
    """Refuse a request without the key, where there is one.

    Raises:
        Unauthorized: no key, or another one.
    """
    given = request.headers.get("x-api-key", "")
    if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
        received = "another key" if given else "no key"
        raise Unauthorized(f"received {received}; this service answers requests whose header X-API-Key has its key")


def request_id(headers: Headers) -> str:
    """The caller's `X-Request-ID` where it is one plain word of at most 64 characters, else a new one."""
    given = headers.get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else f"{random.getrandbits(128):032x}"


def flag(request: Request, name: str, default: bool) -> bool:
    """A query parameter that is true or false.

    Raises:
        InvalidParameter: it is neither.
    """
    value = request.query_params.get(name)
    if value is None:
        return default
    if value.lower() in ("true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise InvalidParameter(f"{name}={value[:40]!r}; true or false are accepted")


def choice(request: Request, name: str, choices: tuple[Choice, ...]) -> Choice:
    """A query parameter that is one of several words, the first where it is not given.

    Raises:
        InvalidParameter: it is none of them.
    """
    value = request.query_params.get(name, choices[0])
    for word in choices:
        if word == value:
            return word
    raise InvalidParameter(f"{name}={value[:40]!r}; {' or '.join(choices)} is accepted")
