"""The HTTP interface: a Starlette application on top of an `Engine`."""

from wbc.http.app import create_app
from wbc.http.engine import Engine, PredictOptions

__all__ = ["Engine", "PredictOptions", "create_app"]
