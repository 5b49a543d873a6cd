"""The reader decides by keyboard, the differential follows at once, and nothing is final before its time."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from .page import ENGLISH, Page

NAMES = ["Neutrophil-00", "Neutrophil-01", "Lymphocyte-00", "doubtful-Monocyte", "doubtful-Neutrophil"]


@pytest.fixture
def session(page: Page, images: dict[str, Path]) -> Page:
    """Five cells, two of them for review, the first of those selected and focused."""
    page.choose([images[name] for name in NAMES])
    page.wait_settled()
    page.cells(standing="review")[0].click()
    return page


def selected(page: Page) -> str | None:
    """Return the name of the selected cell."""
    (tile,) = page.all('[data-testid="cell"][aria-selected="true"]')
    return tile.get_attribute("data-name")


def test_corrections_by_key_change_the_differential_at_once(session: Page) -> None:
    assert session.counts() == {
        "Basophil": 0, "Eosinophil": 0, "Lymphocyte": 1, "Monocyte": 0, "Neutrophil": 2,
        "Review": 2, "Unclassifiable": 0,
    }  # fmt: skip
    assert selected(session) == "doubtful-Monocyte.png"
    session.press("2")
    assert session.text("result-class") == "Eosinophil"
    assert session.text("standing") == ENGLISH["standing.corrected"]
    assert session.text("proposal") == ENGLISH["viewer.proposal"].format(**{"class": "Monocyte", "confidence": "52.0%"})
    assert session.counts() == {
        "Basophil": 0, "Eosinophil": 1, "Lymphocyte": 1, "Monocyte": 0, "Neutrophil": 2,
        "Review": 1, "Unclassifiable": 0,
    }  # fmt: skip
    assert "1 cell awaits review" in session.text("live")


@pytest.mark.parametrize(
    ("key", "name"),
    [("1", "Basophil"), ("2", "Eosinophil"), ("3", "Lymphocyte"), ("4", "Monocyte"), ("5", "Neutrophil")],
)
def test_each_digit_is_its_class(session: Page, key: str, name: str) -> None:
    session.press(key)
    assert session.text("result-class") == name
    assert session.get(f"correct-{name}").get_attribute("aria-pressed") == "true"


def test_unclassifiable_leaves_the_count(session: Page) -> None:
    session.press("u")
    assert session.text("standing") == ENGLISH["standing.unclassifiable"]
    assert session.counts()["Unclassifiable"] == 1
    assert session.counts()["Review"] == 1
    assert session.text("total") == "3"


def test_nothing_is_final_while_a_cell_awaits_review(session: Page) -> None:
    assert session.text("differential-state") == "Preliminary"
    session.press(Keys.ENTER)
    assert selected(session) == "doubtful-Neutrophil.png", "Enter goes on to the next cell for review"
    assert session.text("differential-state") == "Preliminary"
    session.press(Keys.ENTER)
    assert session.text("differential-state") == "Final"
    assert ENGLISH["differential.none_open"] in session.text("differential-words")
    assert len(session.cells(standing="confirmed")) == 2
    session.press("u")
    session.get("undo").click()
    session.wait("the model's word again", lambda: len(session.cells(standing="confirmed")) < 3)


def test_returning_to_the_proposal_reopens_the_review(session: Page) -> None:
    session.press("3")
    session.get("undo").click()
    session.wait("the review open again", lambda: session.text("standing") == ENGLISH["standing.review"])
    assert session.text("differential-state") == "Preliminary"


def test_arrows_walk_the_gallery_and_keep_the_focus(session: Page) -> None:
    walked = [selected(session)]
    for _ in range(4):
        session.press(Keys.ARROW_RIGHT)
        walked.append(selected(session))
        assert session.driver.switch_to.active_element.get_attribute("data-name") == walked[-1]
    assert sorted(filter(None, walked)) == sorted(f"{name}.png" for name in NAMES)
    session.press(Keys.ARROW_UP)
    assert selected(session) == "Lymphocyte-00.png"
    session.press(Keys.HOME)
    assert selected(session) == "doubtful-Monocyte.png"


def test_buttons_do_what_the_keys_do(session: Page) -> None:
    session.get("correct-Basophil").click()
    assert session.text("result-class") == "Basophil"
    session.get("confirm").click()
    assert selected(session) == "doubtful-Neutrophil.png"


def test_keys_can_be_switched_off(session: Page) -> None:
    session.get("open-help").click()
    session.get("shortcuts-on").click()
    session.get("help-close").click()
    session.cells(standing="review")[0].click()
    session.press("1")
    assert session.text("result-class") == "Monocyte"


def test_keyboard_alone_suffices(page: Page, images: dict[str, Path]) -> None:
    page.choose([images[name] for name in NAMES])
    page.wait_settled()
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = set()
    for _ in range(40):
        page.press(Keys.TAB)
        element = page.driver.switch_to.active_element
        reached.add(element.get_attribute("data-testid") or element.get_attribute("id"))
        outlined = page.run(
            """
            const focused = arguments[0];
            return [focused, focused.parentElement].some((e) => getComputedStyle(e).outlineStyle !== "none");
            """,
            element,
        )
        assert outlined or element.tag_name == "body", f"no visible focus on {element.get_attribute('outerHTML')[:80]}"
    assert {"file-input", "folder-input", "cell", "correct-Basophil", "confirm", "export-csv", "language-tr"} <= reached


def test_new_session_asks_before_decisions_are_lost(session: Page) -> None:
    session.press("1")
    session.get("clear").click()
    assert "decisions that you have not exported" in session.text("clear-dialog")
    session.get("clear-no").click()
    assert len(session.cells()) == 5
    session.get("clear").click()
    session.get("clear-yes").click()
    session.wait("the empty page", lambda: session.get("welcome").is_displayed())
    assert session.cells() == []
