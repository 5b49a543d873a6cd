"""`report.html`: the evaluation on one page, the worst mistakes first, as pictures with their heatmaps."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from evaluation import markdown
from evaluation.answers import Answers
from evaluation.asking import Classifier
from evaluation.results import DomainResult, EvaluationResult, relative
from wbc.analysis import Pipeline
from wbc.images import encode_jpeg
from wbc.labels import CLASSES
from wbc.saliency.overlay import overlay

WORST = 24
"""Mistakes that are shown of all sets of images together."""

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0;font-size:13px}
td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;text-align:left}
img{max-width:100%}figure{display:inline-block;margin:.4rem;width:23rem;vertical-align:top;font-size:13px}
figure img{width:11.3rem}.plots img{width:32%}
.warning{border-left:4px solid #d55e00;background:#fff4ec;padding:.5rem 1rem}"""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer.

    Attributes:
        path: the file.
        domain: its set of images.
        truth, answer: the classes.
        confidence: with which it was given.
        reasons: for review, where it was flagged.
    """

    path: Path
    domain: str
    truth: str
    answer: str
    confidence: float
    reasons: tuple[str, ...]


def worst_mistakes(answers: Mapping[str, Answers], number: int = WORST) -> list[Mistake]:
    """The wrong answers given with the highest confidence: those without a flag first, because nobody would look."""
    found = [
        Mistake(
            found.split.paths[i],
            domain,
            CLASSES[found.labels[i]],
            CLASSES[found.predicted[i]],
            float(found.confidence[i]),
            found.reasons[i],
        )
        for domain, found in answers.items()
        for i in np.flatnonzero(~found.correct)
    ]
    return sorted(found, key=lambda m: (bool(m.reasons), -m.confidence))[:number]


@dataclass(frozen=True, slots=True)
class Page:
    """Writes `report.html` beside the folders of the domains, whose pictures it holds.

    It holds pictures of the data set: it stays where the evaluation was run.

    Attributes:
        folder: of the evaluation.
        root: folder of the data, which names of files are given relative to.
        pipeline: that answered; it draws the maps of the mistakes.
        classifier: the forward pass.
    """

    folder: Path
    root: Path
    pipeline: Pipeline
    classifier: Classifier

    def write(self, result: EvaluationResult, answers: Mapping[str, Answers]) -> None:
        """Write the page for the numbers and the answers of each set of images, `combined` left out."""
        parts = self._parts(result, worst_mistakes(answers))
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{STYLE}</style>'
        (self.folder / "report.html").write_text(head + "\n".join(parts) + "</html>\n")

    def _parts(self, result: EvaluationResult, mistakes: Sequence[Mistake]) -> Iterable[str]:
        model, settings = result.model, result.settings
        yield f"<h1>{escape(model['name'])} {escape(model['version'])}</h1>"
        yield f"<p>Evaluated {escape(result.created)}; manifest SHA-256 <code>{escape(model['sha256'])}</code>.</p>"
        if not settings["as_served"]:
            yield _warning("other settings than those that are served")
        if settings["limit"]:
            yield _warning(f"{settings['limit']} images a class alone")
        yield "<h2>Worst mistakes</h2><p>Wrong answers by confidence, those that nobody was asked to look at first.</p>"
        yield from (self._figure(mistake) for mistake in mistakes)
        yield "" if mistakes else "<p>None.</p>"
        yield f"<h2>Scores</h2>{_html(markdown.overview(result.domains))}"
        if (larger := markdown.larger_classes(result.domains)) is not None:
            yield f"<p>Over the classes with ten or more images alone:</p>{_html(larger)}"
        yield f"<p>Recall of each class, percent (images):</p>{_html(markdown.recalls(result.domains))}"
        if result.declared:
            yield f"<h2>With a declared label set</h2>{_html(markdown.overview(result.declared))}"
        yield f"<h2>Calibration and review</h2>{_html(markdown.calibration(result.domains))}"
        yield _picture(self.folder / "risk_coverage.png", "risk against coverage")
        yield from _further(self.folder, result)
        yield "<h2>Each set of images</h2>"
        yield from (_domain(self.folder / domain.name, domain) for domain in result.domains)

    def _figure(self, mistake: Mistake) -> str:
        analysis = self.pipeline.analyze(mistake.path.read_bytes(), self.classifier)
        display = analysis.prepared.display
        pictures = (display, overlay(display, analysis.heatmap, analysis.prepared.foreground))
        shown = "".join(f'<img src="{_data("jpeg", encode_jpeg(rgb))}" alt="">' for rgb in pictures)
        flag = f"flagged: {', '.join(mistake.reasons)}" if mistake.reasons else "not flagged"
        return (
            f"<figure>{shown}<figcaption>{mistake.truth}, answered <b>{mistake.answer}</b> "
            f"at {mistake.confidence:.1%}, {flag}<br><code>{escape(relative(mistake.path, self.root))}</code>"
            "</figcaption></figure>"
        )


def _further(folder: Path, result: EvaluationResult) -> Iterable[str]:
    if result.rejection is not None:
        yield "<h2>Images that show none of the five classes</h2>"
        yield f"<p>Against {result.rejection.known_images} images of {escape(result.rejection.known)}.</p>"
        yield _html(markdown.rejection(result.rejection))
        yield _picture(folder / "distances.png", "distances of known and unknown images")
    if result.ablation:
        yield "<h2>Adaptation, step by step</h2>"
        yield _html(markdown.ablation(result.ablation))
    if result.held_out_choices:
        yield _html(markdown.held_out(result.held_out_choices))


def _domain(folder: Path, result: DomainResult) -> str:
    plots = "".join(
        _picture(folder / f"{name}.png", f"{name.replace('_', ' ')} of {result.name}")
        for name in ("confusion_matrix", "roc_curve", "reliability")
    )
    unreadable = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in result.unreadable.items())
    listed = f"<p>Unreadable files that were left out:</p><ul>{unreadable}</ul>" if unreadable else ""
    text = (folder / "classification_report.txt").read_text()
    return f'<h3>{escape(result.name)}</h3><div class="plots">{plots}</div><pre>{escape(text)}</pre>{listed}'


def _picture(path: Path, words: str) -> str:
    """A picture that was written, inside the page; nothing where it was not."""
    return f'<img src="{_data("png", path.read_bytes())}" alt="{escape(words)}">' if path.is_file() else ""


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _warning(words: str) -> str:
    return f'<p class="warning">This evaluation is of {escape(words)}.</p>'


def _html(table: str) -> str:
    """A table of `wbc.markdown.table` as HTML."""
    lines = [[escape(cell.strip()) for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
    head = "".join(f"<th>{cell}</th>" for cell in lines[0])
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines[2:])
    return f"<table><tr>{head}</tr>{body}</table>"
