"""Scores of an epoch, comparison of epochs, and the counts that end a phase."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from training.scores import better, checks_below, epochs_without_better, reductions, scores


def rows(*values):
    return [{"val_balanced_accuracy": accuracy, "val_loss": loss} for accuracy, loss in values]


def test_scores_agree_with_scikit_learn(rng):
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3])  # no neutrophil: the fifth class is absent
    logits = rng.normal(0, 1, (10, 5)) + 2 * np.eye(5)[labels]
    answers, present = logits.argmax(axis=1), [0, 1, 2, 3]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = scores(logits, labels)
    assert found["val_accuracy"] == pytest.approx((answers == labels).mean())
    recalls = [(answers[labels == c] == c).mean() for c in present]
    assert found["val_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["val_macro_f1"] == pytest.approx(f1_score(labels, answers, labels=present, average="macro"))
    assert found["val_loss"] == pytest.approx(log_loss(labels, p, labels=range(5)))


def test_balanced_accuracy_does_not_reward_the_majority():
    labels = np.array([4] * 93 + [2] * 7)
    logits = np.tile(np.eye(5)[4], (100, 1))
    found = scores(logits, labels)
    assert found["val_accuracy"] == 0.93
    assert found["val_balanced_accuracy"] == balanced_accuracy_score(labels, logits.argmax(axis=1)) == 0.5


def test_scores_are_finite_at_logits_however_large():
    assert np.isfinite(list(scores(np.array([[1e4, 0, 0, 0, -1e4]]), np.array([4])).values())).all()


def test_of_equally_accurate_epochs_the_surer_is_better():
    sure, unsure, accurate = rows((0.9, 0.1), (0.9, 0.2), (0.95, 0.9))
    assert better(sure, None)
    assert better(sure, unsure)
    assert not better(unsure, sure)
    assert not better(sure, sure)
    assert better(accurate, sure)


def test_epochs_without_a_better_one_are_counted_from_the_best():
    assert epochs_without_better([]) == 0
    assert epochs_without_better(rows((0.5, 1), (0.6, 1), (0.6, 1), (0.5, 0.1))) == 2
    assert epochs_without_better(rows((0.5, 1), (0.5, 0.9), (0.7, 2))) == 0


def test_the_learning_rate_is_reduced_once_a_patience():
    still = rows(*[(0.5, 1.0)] * 6)
    assert [reductions(still[: n + 1], 2) for n in range(6)] == [0, 0, 1, 1, 2, 2]
    assert reductions(rows((0.5, 1), (0.5, 1), (0.6, 1), (0.6, 1)), 2) == 0


def test_a_check_without_a_ratio_neither_adds_to_the_streak_nor_breaks_it():
    ratios = [0.1, None, 0.1, 0.5, 0.1, None, 0.1]
    streaks = [checks_below([{"focus": r} for r in ratios[: n + 1]], 0.3) for n in range(7)]
    assert streaks == [1, 1, 2, 0, 1, 1, 2]
    assert checks_below([{}, {"focus": 0.1}, {}], 0.3) == 1
