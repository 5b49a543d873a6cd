"""The `wbc` command. Other packages add commands through the entry-point group `wbc.commands`."""

from __future__ import annotations

import io
import logging
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from wbc.errors import WBCError

GROUP = "wbc.commands"
COMMANDS = ("differential", "gradcam", "predict", "score")
"""Commands of the library; each is the function of the same name in its own module."""


class _Group(click.Group):
    """Group that imports a command only to run or describe it, and prints expected errors as one line, exit code 1."""

    def _points(self) -> dict[str, EntryPoint]:
        own = {name: EntryPoint(name, f"wbc.cli.{name}:{name}", GROUP) for name in COMMANDS}
        return {point.name: point for point in entry_points(group=GROUP)} | own

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._points().get(cmd_name)
        return point.load() if point else None

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):  # file names and reports need not fit the terminal's encoding
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except WBCError as error:
            raise click.ClickException(f"{error} [{error.code}]") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wbc")
@click.option("-v", "--verbose", is_flag=True, help="Log progress.")
def main(verbose: bool) -> None:
    """White-blood-cell classification: training, evaluation, export, serving and explanation. For research use."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
