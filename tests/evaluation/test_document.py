"""The generated tables of docs/evaluation.md."""

from __future__ import annotations

import pytest

from evaluation.document import DOCUMENT, tables, with_results
from evaluation.evaluate import Evaluation
from evaluation.results import EVALUATION, read_evaluation
from wbc.errors import DataError
from wbc.settings import REPOSITORY

SHIPPED = REPOSITORY / "models" / "default" / EVALUATION


def test_tables_are_renewed_between_their_marks_and_nothing_else(evaluation: Evaluation) -> None:
    text = DOCUMENT.read_text()
    renewed = with_results(text, evaluation.result)
    assert evaluation.result.domains[0].metrics.accuracy.percent() in renewed
    assert with_results(renewed, evaluation.result) == renewed
    assert renewed.split("<!-- table:")[0] == text.split("<!-- table:")[0]


def test_a_document_without_a_table_is_refused(evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match="the document marks no table; expected results"):
        with_results("# Evaluation\n", evaluation.result)
    assert "left out" in tables(evaluation.result)


@pytest.mark.skipif(not SHIPPED.is_file(), reason="the shipped bundle has no evaluation yet")
def test_the_document_holds_the_shipped_numbers() -> None:
    text = DOCUMENT.read_text()
    assert with_results(text, read_evaluation(SHIPPED)) == text, "run `python -m evaluation.document`"
