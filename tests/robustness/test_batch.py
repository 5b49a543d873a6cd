"""Bad files in `POST /predict/batch`: each fails separately."""

from __future__ import annotations

import pytest

from tests.robustness.bad_images import OPENED, bad_images, picture, saved
from tests.robustness.wire import form, part, request, send, upload
from tests.served import Served

FILES = 40


def test_every_bad_image_fails_alone_in_a_batch(server: Served) -> None:
    """All bad images that are small, in batches, each batch with a sound image in front and behind."""
    sound = saved(picture(), "PNG")
    images = [image for image in bad_images() if len(image.data) < 200_000]
    assert len(images) >= 200
    alone = send(server.port, upload(sound)).json()["all_probabilities"]
    for start in range(0, len(images), FILES):
        batch = images[start : start + FILES]
        body = form(part(sound), *(part(image.data) for image in batch), part(sound))
        answer = send(server.port, request(body, target="/predict/batch"), deadline_s=120)
        assert answer.status == 200, answer.body[:300]
        first, *results, last = answer.json()["results"]
        assert [first["index"], *(result["index"] for result in results)] == list(range(len(batch) + 1))
        for found in (first, last):
            # Another batch size sums in another order.
            assert found["prediction"]["all_probabilities"] == pytest.approx(alone, abs=1e-5)
        for image, result in zip(batch, results, strict=True):
            opened = "prediction" in result
            assert opened or set(result["error"]) == {"error", "code"}
            if image.statuses == OPENED:
                assert opened, f"{image.name}: {result}"
            if 200 not in image.statuses:
                assert not opened, f"{image.name} was answered"
