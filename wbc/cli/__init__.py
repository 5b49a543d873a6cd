"""The `wbc` command. Other packages add commands through the entry-point group `wbc.commands`, loaded when used."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

import click

from wbc.errors import WBCError


class _Group(click.Group):
    """Finds further commands among the installed entry points and imports one only to run or to describe it.

    An expected error of any command ends in one line and exit code 1, not in a traceback.
    """

    def _added(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group="wbc.commands")}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._added()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        point = self._added().get(cmd_name)
        return point.load() if point else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WBCError as error:
            raise click.ClickException(f"{error} [{error.code}]") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wbc")
@click.option("-v", "--verbose", is_flag=True, help="Log what is being done.")
def main(verbose: bool) -> None:
    """White-blood-cell classification: train, measure, export, serve and look into. For research use."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the model bundle.  [default: WBC_BUNDLE]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as the HTTP interface answers.")
@click.option(
    "--language", type=click.Choice(["en", "tr"]), default="en", show_default=True, help="Language of the report."
)
@click.option("--report/--no-report", default=True, show_default=True, help="Print the rule-based report.")
def predict(
    images: Sequence[Path], bundle: Path | None, *, as_json: bool, language: Literal["en", "tr"], report: bool
) -> None:
    """Classify IMAGES (files, or folders of them) without a server and without TensorFlow.

    An image that cannot be read is named with the reason, the others are answered, and the exit code is 1.
    """
    from rich.console import Console
    from rich.markup import escape

    from wbc.analysis import Pipeline
    from wbc.bundle import Bundle
    from wbc.explain.report import RULES, Report
    from wbc.explain.rules import rule_report
    from wbc.images import SUFFIXES
    from wbc.inference import OnnxClassifier
    from wbc.schemas import ErrorAnswer, ModelInfo, PredictionAnswer
    from wbc.settings import settings

    loaded = Bundle.load(bundle or settings().bundle)
    chosen = settings()
    classifier = OnnxClassifier.of(loaded, threads=chosen.threads, device=chosen.device, graph=chosen.graph)
    pipeline, model = Pipeline(loaded), ModelInfo.of(loaded, graph=classifier.graph, provider=classifier.provider)
    console, answers, failed = Console(highlight=False), [], 0
    files = _files(images)
    if not files:
        raise click.BadParameter(f"no image in {', '.join(map(str, images))}; expected {', '.join(sorted(SUFFIXES))}")
    for path in files:
        try:
            analysis = pipeline.analyze(path.read_bytes(), classifier)
        except WBCError as error:
            failed += 1
            answers.append({"file": str(path), **ErrorAnswer(error=str(error), code=error.code).model_dump()})
            click.echo(f"{path}: {error} [{error.code}]", err=True)
            continue
        text = rule_report(analysis.facts(), language) if report else None
        if as_json:
            written = Report(text=text, provider=RULES, language=language) if text else None
            answer = PredictionAnswer.of(analysis, model, request_id=path.name, report=written)
            answers.append({"file": str(path), **answer.model_dump(mode="json", by_alias=True)})
            continue
        flag = " [yellow]review[/]" if analysis.review else ""
        console.print(
            f"[bold]{analysis.label}[/] {analysis.confidence:6.1%}{flag}  {escape(str(path))}", soft_wrap=True
        )
        for reason in analysis.review:
            console.print(f"  {escape(reason.text)}", soft_wrap=True)
        if text:
            console.print(f"  {text}", soft_wrap=True)
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    if failed:
        raise SystemExit(1)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the image files below the folders named."""
    from wbc.images import SUFFIXES

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            files.append(path)
    return files
