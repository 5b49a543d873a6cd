"""The exception tree: as drawn in its docstring, a code each, a status that HTTP knows."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest

from wbc import errors
from wbc.errors import WBCError

DRAWN = re.findall(r"^([│ ]*(?:[├└]── )?)(\w+) +(\d{3})  (\w+)$", errors.__doc__ or "", re.MULTILINE)
"""(lines of the drawing, class, status, code) of each row of the tree in the docstring."""


def defined() -> dict[str, type[WBCError]]:
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, WBCError) and found.__module__ == errors.__name__
    }


def test_docstring_draws_every_class_with_its_status_and_code() -> None:
    drawn = {name: (int(status), code) for _, name, status, code in DRAWN}
    assert drawn == {name: (found.status, found.code) for name, found in defined().items()}


def test_docstring_draws_who_inherits_from_whom() -> None:
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for lines, name, _, _ in DRAWN:
        depth = len(lines)
        while above and above[-1][0] >= depth:
            above.pop()
        if above:
            parents[name] = above[-1][1]
        above.append((depth, name))
    bases = {name: found.__bases__[0].__name__ for name, found in defined().items()}
    assert parents == {name: base for name, base in bases.items() if name != "WBCError"}
    assert bases["WBCError"] == "Exception"


def test_codes_are_stable_names_and_each_class_has_its_own() -> None:
    codes = [found.code for found in defined().values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("name", defined())
def test_each_has_an_error_status_and_says_when_it_is_raised(name: str) -> None:
    found = defined()[name]
    assert 400 <= HTTPStatus(found.status) < 600
    assert (found.__doc__ or "").strip()
    assert str(found("expected that, received this")) == "expected that, received this"


def test_statuses_that_the_plan_promises() -> None:
    promised = {
        "MalformedImage": 400,
        "InvalidParameter": 400,
        "ImageTooLarge": 413,
        "BodyTooLarge": 413,
        "UnsupportedFormat": 415,
        "Overloaded": 429,
        "ModelError": 500,
        "NotReady": 503,
    }
    assert {name: defined()[name].status for name in promised} == promised
