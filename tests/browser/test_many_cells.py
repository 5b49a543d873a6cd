"""Many cells: forty with three bad files, folders, repeats, cancelling, and two hundred that stay smooth."""

from __future__ import annotations

import shutil
from pathlib import Path

from .page import ENGLISH, Page
from .stub_server import StubServer


def test_forty_dropped_with_three_bad_files(
    page: Page, stub: StubServer, images: dict[str, Path], bad_files: list[Path]
) -> None:
    good = list(images.values())[-37:]
    page.drop([*good, *bad_files])
    page.wait("thumbnails at once", lambda: len(page.cells()) >= 37)
    page.wait_settled()
    assert len(page.cells(status="done")) == 37
    errors = {error.get_attribute("data-code"): error.text for error in page.all('[data-testid="error"]')}
    assert len(page.all('[data-testid="error"]')) == 3
    assert errors.keys() == {"unsupported_format", "malformed_image"}
    assert ENGLISH["error.unsupported_format"] in errors["unsupported_format"]
    assert "damaged or incomplete" in errors["malformed_image"]
    assert "PNG" in errors["unsupported_format"], "the server's own words name what it takes"
    assert sum(page.counts().values()) == 37
    assert ENGLISH["differential.refused.other"].format(count=3) in page.text("differential-words")
    assert 1 < stub.behaviour.most_in_flight <= 3


def test_groups_are_by_class_with_review_first(page: Page, images: dict[str, Path]) -> None:
    names = ["Neutrophil-00", "doubtful-Monocyte", "Lymphocyte-00", "Basophil-00", "doubtful-Neutrophil"]
    page.choose([images[name] for name in names])
    page.wait_settled()
    groups = [group for group in page.all('[data-testid="group"]') if group.is_displayed()]
    assert [group.get_attribute("data-group") for group in groups] == ["review", "Basophil", "Lymphocyte", "Neutrophil"]
    assert {tile.get_attribute("data-class") for tile in page.cells(standing="review")} == {"Monocyte", "Neutrophil"}


def test_failed_file_is_retried_alone(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    stub.behaviour.failures = 1
    page.choose([images["Neutrophil-00"], images["Lymphocyte-00"], images["Monocyte-00"]])
    page.wait_settled()
    assert ENGLISH["error.model_error"] in page.text("error")
    sent = len(stub.behaviour.uploads)
    page.get("retry").click()
    page.wait("the third cell", lambda: len(page.cells(status="done")) == 3)
    assert len(stub.behaviour.uploads) == sent + 1
    assert page.get("failures").is_displayed() is False


def test_refused_file_can_be_removed(page: Page, bad_files: list[Path]) -> None:
    page.choose(bad_files[:1])
    page.wait("the refusal", lambda: page.all('[data-testid="error"]'))
    page.get("remove").click()
    page.wait("the empty page", lambda: page.get("welcome").is_displayed())


def test_cancel_stops_and_retry_all_goes_on(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    stub.behaviour.delay_s = 1
    page.choose(list(images.values())[:20])
    page.wait("the first cells", lambda: page.cells(status="done"))
    page.get("cancel").click()
    page.wait("the rest cancelled", lambda: not page.get("progress").is_displayed())
    done = len(page.cells(status="done"))
    assert 0 < done < 20
    assert {error.get_attribute("data-code") for error in page.all('[data-testid="error"]')} == {"cancelled"}
    stub.behaviour.delay_s = 0
    page.get("retry-all").click()
    page.wait("all cells", lambda: len(page.cells(status="done")) == 20)


def test_repeated_file_is_not_counted_twice(page: Page, images: dict[str, Path]) -> None:
    page.choose([images["Neutrophil-00"], images["Neutrophil-01"]])
    page.wait_settled()
    page.choose([images["Neutrophil-01"], images["Neutrophil-02"]])
    page.wait("the third cell", lambda: len(page.cells(status="done")) == 3)
    assert page.text("intake-note") == ENGLISH["intake.repeated.one"].format(count=1)


def test_dropped_folder_is_walked_and_other_files_left_out(page: Page, images: dict[str, Path], tmp_path: Path) -> None:
    deeper = tmp_path / "smear" / "slide 1"
    deeper.mkdir(parents=True)
    for name in ("Neutrophil-00", "Lymphocyte-00", "Monocyte-00"):
        shutil.copy(images[name], deeper)
    shutil.copy(images["Basophil-00"], tmp_path / "smear")
    (tmp_path / "smear" / "notes.txt").write_text("not an image")
    page.drop([tmp_path / "smear"])
    page.wait("four cells", lambda: len(page.cells(status="done")) == 4)
    assert page.text("intake-note") == ENGLISH["intake.skipped.one"].format(count=1)
    assert page.cells(name="smear/slide 1/Monocyte-00.png")


def test_chosen_folder_is_walked(page: Page, images: dict[str, Path], tmp_path: Path) -> None:
    for name in ("Neutrophil-00", "Lymphocyte-00"):
        shutil.copy(images[name], tmp_path)
    page.get("folder-input").send_keys(str(tmp_path))
    page.wait("two cells", lambda: len(page.cells(status="done")) == 2)


def test_two_hundred_cells_draw_only_what_is_seen(page: Page, images: dict[str, Path], tmp_path: Path) -> None:
    source = images["Neutrophil-00"].read_bytes()
    files = [tmp_path / f"{('Lymphocyte', 'Neutrophil')[index % 2]}-{index:03d}.png" for index in range(200)]
    for path in files:
        path.write_bytes(source)
    page.choose(files)
    page.wait("two hundred tiles", lambda: len(page.cells()) == 200)
    page.wait_settled()
    assert page.counts() == {
        "Basophil": 0, "Eosinophil": 0, "Lymphocyte": 100, "Monocyte": 0, "Neutrophil": 100,
        "Review": 0, "Unclassifiable": 0,
    }  # fmt: skip
    drawn = len(page.all(".thumb[data-ready]"))
    assert 0 < drawn < 150, "tiles far from the view are not drawn"
    # A step through the gallery, with everything that is redrawn for it: a tenth of a second is felt as immediate.
    steps = page.run(
        """
        const times = [];
        for (let step = 0; step < 20; step += 1) {
          const start = performance.now();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
          document.body.offsetHeight;
          times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b);
        """
    )
    assert steps[10] < 100, f"median step {steps[10]:.0f} ms"
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    page.wait("the last tiles", lambda: len(page.all(".thumb[data-ready]")) > drawn)
