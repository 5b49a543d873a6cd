"""More requests than the server works on at once: some are told to come again, none is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.robustness.bad_images import picture, saved
from tests.robustness.corpus import large_upload, schema_complaint
from tests.robustness.wire import send, upload
from tests.served import Served


def test_burst_is_refused_in_part_and_the_rest_answered(server: Served) -> None:
    with ThreadPoolExecutor(32) as callers:
        answers = list(callers.map(lambda _: send(server.port, large_upload(), deadline_s=90), range(32)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 429}, statuses
    assert statuses[200] >= 8, "as many as it works on at once"
    for answer in answers:
        if answer.status == 429:
            assert schema_complaint(answer) is None
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1
    assert send(server.port, upload(saved(picture(), "PNG"))).status == 200
