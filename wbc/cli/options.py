"""Options shared by several commands, and options generated from the fields of a pydantic model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=BaseModel)
Decorated = Callable[..., Any]


FOLDER = click.Path(file_okay=False, path_type=Path)
IMAGES = click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
BUNDLE = click.option("--bundle", type=FOLDER, help="Folder of the model bundle.  [default: WBC_BUNDLE]")


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the named files and the image files in the named folders; report on stderr how many files were left out.

    Raises:
        click.BadParameter: there is no image file.
    """
    from wbc.files import list_images, printable
    from wbc.images import SUFFIXES

    files, others = list[Path](), 0
    for path in paths:
        found, left_out = list_images(path) if path.is_dir() else ([path], 0)
        files, others = files + found, others + left_out
    if others:
        click.echo(f"{others} files not named like an image", err=True)
    if not files:
        names = ", ".join(map(printable, paths))
        raise click.BadParameter(f"no image file in {names}; expected {', '.join(sorted(SUFFIXES))}")
    return files


class OrNone(click.ParamType[Any]):
    """A value or the word `none`."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner, self.name = inner, f"{inner.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value is None or value == "none" else self.inner.convert(value, param, ctx)


def flag(name: str) -> str:
    """Return the option of a field: `crop_prob` becomes `--crop-prob`."""
    return "--" + name.replace("_", "-")


def options(model: type[BaseModel], *, without: Iterable[str] = ()) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds one option per field of a model to a click command."""
    left_out = set(without)

    def decorate(command: Decorated) -> Decorated:
        for name, field in reversed(model.model_fields.items()):
            if name not in left_out:
                command = _option(name, field)(command)
        return command

    return decorate


def given(context: click.Context, model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields that were set on the command line, with their values."""
    return {
        name: value
        for name, value in context.params.items()
        if name in model.model_fields and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def build(model: type[Model], values: dict[str, Any]) -> Model:
    """Build the model from option values.

    Raises:
        click.BadParameter: the model rejects a value; the error names the option.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        hint = flag(str(first["loc"][0])) if first["loc"] else None
        received = f" (received {first['input']!r})" if first["loc"] else ""
        message = first["msg"].removeprefix("Value error, ")
        raise click.BadParameter(f"{message}{received}", param_hint=hint) from error


def _option(name: str, field: FieldInfo) -> Callable[[Decorated], Decorated]:
    description = field.description or ""
    help_text = description[:1].upper() + description[1:]
    if field.annotation is bool:
        # `--x` for a switch that is off by default, `--x/--no-x` for one that is on, unless its opposite has a name.
        opposite = _extra(field).get("opposite", f"no-{name.replace('_', '-')}")
        names = f"{flag(name)}/--{opposite}" if field.default else flag(name)
        return click.option(names, name, is_flag=True, default=bool(field.default), help=f"{help_text}.")
    if get_origin(field.annotation) is tuple:
        kind = _type(get_args(field.annotation)[0])
        return click.option(flag(name), name, type=kind, multiple=True, help=f"{help_text}.  [{_default(field)}]")
    kind = _type(field.annotation)
    if field.is_required():
        return click.option(flag(name), name, type=kind, required=True, help=f"{help_text}.")
    return click.option(flag(name), name, type=kind, default=None, help=f"{help_text}.  [{_default(field)}]")


def _default(field: FieldInfo) -> str:
    if (shown := _extra(field).get("shown_default")) is not None:
        return str(shown)
    if field.default_factory is not None:
        return "default: WBC_DATA_ROOT"
    value = field.default
    if isinstance(value, BaseModel):
        value = ",".join(f"{k}={v}" for k, v in value.model_dump(exclude_defaults=False).items())
    return "not set" if value is None else f"default: {value}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _type(annotation: Any) -> click.ParamType[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return click.Choice([str(value) for value in arguments])
    if origin in (Union, UnionType):
        inner = next(part for part in arguments if part is not type(None))
        return OrNone(_type(inner))
    simple: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, Path: click.Path(path_type=Path)}
    return simple.get(annotation, click.STRING)
