"""The README's table of results, written from the shipped bundle's `evaluation.json` by `make results`."""

from __future__ import annotations

import re
from pathlib import Path

from evaluation import markdown
from evaluation.results import EVALUATION, EvaluationResult, read_evaluation
from wbc.errors import DataError
from wbc.settings import REPOSITORY, settings

MARKED = re.compile(r"(<!-- results -->\n).*?(<!-- end of results -->)", re.DOTALL)
"""The part of the README that is generated."""


def block(result: EvaluationResult) -> str:
    """What stands between the marks: scores and recalls of every set of images."""
    scores, recalls = markdown.overview(result.domains), markdown.recalls(result.domains)
    return f"\n{scores}\n\nRecall of each class, percent (images of the class):\n\n{recalls}\n\n"


def with_results(text: str, result: EvaluationResult) -> str:
    """The README's text with its table of results renewed.

    Raises:
        DataError: the marks are missing.
    """
    if not MARKED.search(text):
        raise DataError("the README has no part between <!-- results --> and <!-- end of results -->")
    return MARKED.sub(lambda found: found[1] + block(result) + found[2], text)


def main() -> None:
    """Renew the table in the README of this repository."""
    readme: Path = REPOSITORY / "README.md"
    readme.write_text(with_results(readme.read_text(), read_evaluation(settings().bundle / EVALUATION)))


if __name__ == "__main__":
    main()
