"""English and Turkish: one catalogue, both complete, switched on the page and remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from wbc.adaptation.review import ReasonCode
from wbc.errors import DataError, DeviceUnavailable, ExportError, UnreadableFile, WBCError
from wbc.labels import CLASSES

from .page import Page
from .stub_server import WEB, StubServer

CATALOGUE = json.loads((WEB / "catalogue.json").read_text(encoding="utf-8"))
FIELD = re.compile(r"\{(\w+)\}")


def used_keys() -> tuple[set[str], set[str]]:
    """The keys that page and modules name in full, and the beginnings of those they compose."""
    html = (WEB / "index.html").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.js")))
    sections = "|".join(sorted({key.split(".")[0] for key in CATALOGUE["en"]}))
    stems = set(re.findall(r'\bplural\("([\w.]+)"', code))
    full = set(re.findall(r'data-i18n(?:-label)?="([^"]+)"', html))
    full |= set(re.findall(rf'"((?:{sections})\.[a-z_.]+)"', code)) - stems
    full |= {f"{stem}.{form}" for stem in stems for form in ("one", "other")}
    return full, set(re.findall(rf"`((?:{sections})\.[\w.]*)\$\{{", code))


def test_both_languages_have_the_same_keys_and_fields() -> None:
    assert CATALOGUE.keys() == {"en", "tr"}
    english, turkish = CATALOGUE["en"], CATALOGUE["tr"]
    assert english.keys() == turkish.keys()
    for key, text in english.items():
        assert set(FIELD.findall(text)) == set(FIELD.findall(turkish[key])), key
        assert text.strip(), key
        assert turkish[key].strip(), key


def test_every_string_of_the_page_is_in_the_catalogue_and_none_is_idle() -> None:
    full, beginnings = used_keys()
    known = set(CATALOGUE["en"])
    assert full - known == set()
    for beginning in beginnings:
        assert any(key.startswith(beginning) for key in known), beginning
    assert {key for key in known - full if not key.startswith(tuple(beginnings))} == set()


def request_errors(error: type[WBCError] = WBCError) -> Iterator[type[WBCError]]:
    """Errors that a request can return."""
    if error in (DataError, ExportError, DeviceUnavailable, UnreadableFile):  # not raised while serving
        return
    yield error
    for narrower in error.__subclasses__():
        yield from request_errors(narrower)


def test_every_code_of_the_server_has_words() -> None:
    codes = {f"error.{error.code}" for error in request_errors()}
    codes |= {f"reason.{code}" for code in get_args(ReasonCode)}
    codes |= {f"class.{name}" for name in CLASSES}
    assert codes - set(CATALOGUE["en"]) == set()


def test_index_holds_no_words_of_its_own() -> None:
    html = (WEB / "index.html").read_text(encoding="utf-8")
    html = re.sub(r"<noscript>.*?</noscript>|<!--.*?-->|<title>.*?</title>", "", html, flags=re.DOTALL)
    words = [text.strip() for text in re.findall(r">([^<]+)<", html) if re.search(r"\w{3,}", text)]
    assert words == ["English", "Türkçe"], "a language is named in itself"


def test_language_is_switched_and_remembered(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    page.choose([images["Neutrophil-00"], images["doubtful-Monocyte"]])
    page.wait_settled()
    page.cells(name="Neutrophil-00.png")[0].click()
    page.get("language-tr").click()
    page.wait("the class in Turkish", lambda: page.text("result-class") == "Nötrofil")
    assert page.run("return document.documentElement.lang") == "tr"
    assert page.driver.title == "Lökosit sınıflandırıcı"
    assert re.fullmatch(r"%\d\d,\d", page.text("result-confidence"))
    assert page.text("differential-state") == "Ön sonuç"
    page.wait("the report in Turkish", lambda: "olarak okundu" in page.text("report"))
    assert stub.behaviour.languages[-1] == "tr"
    page.reload()
    assert page.get("language-tr").get_attribute("aria-pressed") == "true"
    assert "Tek hücre görüntülerini" in page.text("drop-zone")


def test_shares_are_written_in_the_language_and_never_rounded_to_certainty(page: Page) -> None:
    shares = [0.972, 0.9997, 1, 0.0002, 0]
    written = {
        "en": ["97.2%", "> 99.9%", "100.0%", "< 0.1%", "0.0%"],
        "tr": ["%97,2", "> %99,9", "%100,0", "< %0,1", "%0,0"],
    }
    for language, expected in written.items():
        expression = f'(m.setLanguage("{language}"), {shares}.map((share) => m.percent(share)))'
        assert page.module("i18n.js", expression) == expected
