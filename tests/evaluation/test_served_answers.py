"""The server's predictions equal those of the evaluation on the same files."""

from __future__ import annotations

import csv
from pathlib import Path

import httpx
import pytest

from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from wbc.labels import CLASSES
from wbc.settings import REPOSITORY, settings

SHIPPED = REPOSITORY / "models" / "default"
DOMAINS = ("TestA", "TestB-lisc")


@pytest.mark.skipif(not (SHIPPED / "manifest.json").is_file(), reason="no shipped bundle in models/default")
@pytest.mark.skipif(not settings().data_root.is_dir(), reason="no images in WBC_DATA_ROOT")
def test_served_answers_are_those_of_predictions_csv(server_url: str, tmp_path: Path) -> None:
    config = EvaluationConfig(SHIPPED, settings().data_root, tmp_path, splits=DOMAINS, limit=2, rejection=False)
    evaluate(config)
    rows = []
    for name in DOMAINS:
        with (tmp_path / name / "predictions.csv").open(newline="") as read:
            rows += list(csv.DictReader(read))
    assert len(rows) == 20
    with httpx.Client(base_url=server_url, timeout=60) as client:
        for row in rows:
            file = (Path(row["path"]).name, (settings().data_root / row["path"]).read_bytes())
            answer = client.post("/predict", files={"file": file}, params={"explain": "false"})
            assert answer.status_code == 200, answer.text
            served = answer.json()
            assert served["class"] == row["prediction"]
            for name in CLASSES:
                assert served["all_probabilities"][name] == pytest.approx(float(row[f"p_{name}"]), abs=1e-4)
            assert int(served["review"]["needed"]) == int(row["review"])
            assert ";".join(reason["code"] for reason in served["review"]["reasons"]) == row["reasons"]
