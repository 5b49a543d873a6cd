"""More requests than the server accepts: some are refused with 429, none is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.robustness.bad_images import black, picture, saved
from tests.robustness.corpus import schema_complaint
from tests.robustness.wire import send, upload
from tests.served import Served


def test_burst_is_refused_in_part_and_the_rest_answered(server: Served) -> None:
    slow = upload(black(1250))  # 10 megapixels keep all places taken until every caller has come
    with ThreadPoolExecutor(24) as callers:
        answers = list(callers.map(lambda _: send(server.port, slow, deadline_s=60), range(24)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 429}, statuses
    assert statuses[200] >= 8, "the maximum number of images in progress"
    for answer in answers:
        if answer.status == 429:
            assert schema_complaint(answer) is None
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1
    assert send(server.port, upload(saved(picture(), "PNG"))).status == 200
