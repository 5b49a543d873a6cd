"""`wbc predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from wbc.cli.options import BUNDLE, IMAGES, find_images


@click.command()
@IMAGES
@BUNDLE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with the fields of the HTTP interface.")
@click.option(
    "--language", type=click.Choice(["en", "tr"]), default="en", show_default=True, help="Language of the report."
)
@click.option("--report/--no-report", default=True, show_default=True, help="Print the rule-based report.")
def predict(
    images: Sequence[Path], bundle: Path | None, *, as_json: bool, language: Literal["en", "tr"], report: bool
) -> None:
    """Classify IMAGES (files, or folders of them) without a server and without TensorFlow.

    If an image cannot be read, the reason is printed, the other images are classified, and the exit code is 1.
    """
    from rich.console import Console
    from rich.markup import escape

    from wbc.analyzer import Analyzer
    from wbc.errors import WBCError
    from wbc.explain.report import RULES, Report
    from wbc.explain.rules import rule_report
    from wbc.files import printable
    from wbc.schemas import ErrorAnswer, ModelInfo, PredictionAnswer

    analyzer = Analyzer.load(bundle)
    model = ModelInfo.from_analyzer(analyzer)
    console, results, failed = Console(highlight=False), [], False
    for path, analysis in analyzer.analyze_many(find_images(images)):
        name = printable(path)
        if isinstance(analysis, WBCError):
            failed = True
            error = ErrorAnswer.of(analysis)
            results.append({"file": name, **error.model_dump()})
            click.echo(f"{name}: {error.error} [{error.code}]", err=True)
            continue
        text = rule_report(analysis.facts(), language) if report else None
        if as_json:
            written = Report(text=text, provider=RULES, language=language) if text else None
            prediction = PredictionAnswer.of(analysis, model, request_id=printable(path.name), report=written)
            results.append({"file": name, **prediction.model_dump(mode="json", by_alias=True)})
            continue
        flag = " [yellow]review[/]" if analysis.review else ""
        lines = [f"[bold]{analysis.label}[/] {analysis.confidence:6.1%}{flag}  {escape(name)}"]
        lines += [f"  {escape(reason.text)}" for reason in analysis.review]
        lines += [f"  {text}"] if text else []
        for line in lines:
            console.print(line, soft_wrap=True)
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if failed:
        raise SystemExit(1)
