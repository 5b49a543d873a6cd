"""The OpenAPI document against the server, in short; `make soak` runs the long form."""

from __future__ import annotations

from tests.robustness.fuzz import fuzz
from tests.served import Served


def test_server_keeps_what_its_document_promises(server: Served) -> None:
    outcome = fuzz(server.url, max_examples=5)
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert outcome.operations >= 6
    assert outcome.requests >= 30
