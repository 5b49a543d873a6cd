"""A killed service and the signal to go, in the middle of a load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.bad_images import picture, saved
from tests.robustness.corpus import large_upload
from tests.robustness.faults import kill_in_mid_load, terminate_in_mid_load
from tests.robustness.wire import upload
from tests.served import Served


@pytest.fixture(scope="module")
def doomed(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that does not outlive these tests."""
    with Served(
        tmp_path_factory.mktemp("doomed"), WBC_BUNDLE=str(tiny_bundle), WBC_GRADCAM="false", WBC_THREADS="1"
    ) as running:
        yield running


def test_killed_classifier_is_noticed_and_service_resumes(doomed: Served) -> None:
    outcome = kill_in_mid_load(doomed, "Classifier", [upload(saved(picture(), "PNG"))])
    assert not outcome.complaints(), outcome


def test_what_is_in_flight_is_finished_on_sigterm(doomed: Served) -> None:
    outcome = terminate_in_mid_load(doomed, large_upload())
    assert not outcome.complaints(), outcome
