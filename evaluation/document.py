"""The tables of docs/evaluation.md, from the shipped `evaluation.json`: `python -m evaluation.document`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from evaluation import markdown
from evaluation.results import EVALUATION, EvaluationResult, read_evaluation
from wbc.markdown import with_tables
from wbc.settings import REPOSITORY, settings

LEFT_OUT = REPOSITORY / "results" / "left_out.json"
DOCUMENT = REPOSITORY / "docs" / "evaluation.md"


def tables(result: EvaluationResult) -> Mapping[str, str]:
    """Each generated table by the name of its marks; `not measured` where the evaluation left it out."""
    missing = "Not measured in the evaluation that is shipped."
    return {
        "results": markdown.overview(result.domains),
        "larger classes": markdown.larger_classes(result.domains) or "Every class has ten or more images.",
        "recalls": markdown.recalls(result.domains),
        "declared": markdown.overview(result.declared) if result.declared else missing,
        "calibration": markdown.calibration(result.domains),
        "rejection": markdown.rejection(result.rejection) if result.rejection else missing,
        "left out": markdown.left_out(json.loads(LEFT_OUT.read_text())),
    }


def with_results(text: str, result: EvaluationResult) -> str:
    """The document with every table renewed.

    Raises:
        DataError: a table has no marks, or marks name no table.
    """
    return with_tables(text, tables(result))


def main() -> None:
    """Renew the tables of this repository's document."""
    document: Path = DOCUMENT
    document.write_text(with_results(document.read_text(), read_evaluation(settings().bundle / EVALUATION)))


if __name__ == "__main__":
    main()
