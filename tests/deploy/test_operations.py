"""docs/operations.md names only settings, error codes, targets and files that exist."""

from __future__ import annotations

import re

from tests.served import ROOT
from wbc.errors import WBCError
from wbc.settings import Settings

TEXT = (ROOT / "docs" / "operations.md").read_text()


def test_named_settings_exist() -> None:
    named = {name.removeprefix("WBC_").lower() for name in re.findall(r"\bWBC_[A-Z_]+\b", TEXT)}
    assert named <= set(Settings.model_fields)


def test_named_codes_and_statuses_exist() -> None:
    def tree(error: type[WBCError]) -> dict[str, int]:
        found = {error.code: error.status}
        for child in error.__subclasses__():
            found |= tree(child)
        return found

    known = tree(WBCError)
    named = re.findall(r"\b([45]\d\d) `(\w+)`", TEXT)
    assert len(named) > 8
    for status, code in named:
        assert known[code] == int(status)


def test_named_targets_and_files_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([\w-]+)", TEXT):
        assert re.search(rf"^[\w -]*\b{target}(?![\w-])[\w %-]*:", makefile, re.MULTILINE), target
    for path in re.findall(r"\bdeploy/[\w/.-]*\w", TEXT):
        assert (ROOT / path).exists(), path
