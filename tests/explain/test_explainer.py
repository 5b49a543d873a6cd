"""The explainer with fake providers: order, deadline, breaker, cache, concurrency. The real ones are tested apart."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest

from wbc.errors import InvalidParameter
from wbc.explain.breaker import BreakerSettings
from wbc.explain.exchange import Answer, ProviderError, Request
from wbc.explain.explainer import Explainer, Failure, Report
from wbc.explain.facts import Facts
from wbc.explain.rules import rule_report
from wbc.explain.wording import Language
from wbc.settings import Settings

GOOD = Answer(
    summary="The model classifies this cell as Neutrophil.", map_highlights="", fits_morphology="yes", concern=""
)
OVERLAY = np.zeros((32, 32, 3), np.uint8)


class Fake:
    """Responds, fails or waits as scripted, and records its requests."""

    def __init__(
        self, name: str = "fake", *, error: Exception | None = None, wait_s: float = 0.0, answer: Answer = GOOD
    ) -> None:
        self.name = name
        self.error = error
        self.wait_s = wait_s
        self.answer = answer
        self.asked: list[Request] = []
        self.now = self.most = 0

    async def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.wait_s)
        finally:
            self.now -= 1
        if self.error is not None:
            raise self.error
        return self.answer

    async def warm_up(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


async def explain(explainer: Explainer, facts: Facts, image: str = "a", language: str = "en") -> Report:
    return await explainer.explain(
        facts, overlay=OVERLAY, image_sha256=image, model_version="1", language=cast(Language, language)
    )


def reasons(report: Report) -> list[tuple[str, str]]:
    return [(failure.provider, failure.reason) for failure in report.failures]


def test_without_providers_the_rules_write(facts: Facts) -> None:
    report = asyncio.run(explain(Explainer([]), facts))
    assert report == Report(text=rule_report(facts, "en"), provider="rules", language="en")


@pytest.mark.parametrize("providers", [[], [Fake()]])
def test_an_unknown_language_is_the_callers_mistake(facts: Facts, providers: list[Fake]) -> None:
    with pytest.raises(InvalidParameter):
        asyncio.run(explain(Explainer(providers), facts, language="de"))


def test_the_first_provider_that_answers_well_writes(facts: Facts) -> None:
    first, second, third = Fake("one", error=ProviderError("unauthorized")), Fake("two"), Fake("three")
    report = asyncio.run(explain(Explainer([first, second, third]), facts))
    assert report.provider == "two"
    assert report.text.startswith("The model classifies this cell as Neutrophil. According to")
    assert reasons(report) == [("one", "unauthorized")]
    assert not third.asked


def test_an_answer_the_guard_refuses_is_passed_over(facts: Facts) -> None:
    liar = Fake("liar", answer=GOOD.model_copy(update={"concern": "It may be a Lymphocyte."}))
    report = asyncio.run(explain(Explainer([liar]), facts))
    assert (report.provider, report.text) == ("rules", rule_report(facts, "en"))
    assert reasons(report) == [("liar", "guard:wrong_class")]


def test_whatever_a_provider_raises_the_report_is_written(facts: Facts, caplog: pytest.LogCaptureFixture) -> None:
    for error, reason in [(RuntimeError("sk-secret"), "unexpected"), (TimeoutError(), "timeout")]:
        report = asyncio.run(explain(Explainer([Fake(error=error)]), facts))
        assert (report.provider, reasons(report)) == ("rules", [("fake", reason)])
    assert "sk-secret" not in caplog.text


def test_a_hanging_provider_leaves_time_for_the_next(facts: Facts) -> None:
    start = time.monotonic()
    report = asyncio.run(explain(Explainer([Fake("slow", wait_s=9), Fake("quick", wait_s=0.01)], timeout_s=1.0), facts))
    assert (report.provider, reasons(report)) == ("quick", [("slow", "timeout")])
    assert time.monotonic() - start < 1.0


def test_all_providers_together_keep_the_deadline(facts: Facts) -> None:
    start = time.monotonic()
    hanging = [Fake(name, wait_s=9) for name in "abc"]
    report = asyncio.run(explain(Explainer(hanging, timeout_s=0.2), facts))
    assert time.monotonic() - start < 3.0
    assert report.provider == "rules"
    assert [name for name, _ in reasons(report)] == ["a", "b", "c"]
    # On a busy machine the time of the later ones can be over before they get a slot.
    assert {reason for _, reason in reasons(report)} <= {"timeout", "busy"}


def test_a_caller_that_goes_away_is_let_go(facts: Facts) -> None:
    async def leave() -> None:
        task = asyncio.create_task(explain(Explainer([Fake(wait_s=9)]), facts))
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave())


def test_a_provider_that_keeps_failing_is_left_alone_and_tried_again(facts: Facts) -> None:
    clock = [0.0]
    broken = Fake("broken", error=ProviderError("server_error"))
    explainer = Explainer([broken, Fake("well")], breaker=BreakerSettings(2, 60), cache_size=0, clock=lambda: clock[0])

    async def run() -> None:
        for _ in range(2):
            assert reasons(await explain(explainer, facts)) == [("broken", "server_error")]
        assert reasons(await explain(explainer, facts)) == [("broken", "circuit_open")]
        assert len(broken.asked) == 2
        clock[0] = 61
        broken.error = None
        assert (await explain(explainer, facts)).provider == "broken"

    asyncio.run(run())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fake(error=ProviderError("refused")),
        lambda: Fake(answer=GOOD.model_copy(update={"summary": "This is a Basophil."})),
    ],
)
def test_what_tells_of_one_cell_opens_no_circuit(facts: Facts, make: Callable[[], Fake]) -> None:
    fake = make()
    explainer = Explainer([fake], breaker=BreakerSettings(2, 60))

    async def run() -> None:
        for _ in range(4):
            await explain(explainer, facts)

    asyncio.run(run())
    assert len(fake.asked) == 4


def test_requests_in_progress_are_limited_and_waiting_is_no_failure_of_the_provider(facts: Facts) -> None:
    slow = Fake("slow", wait_s=0.6)
    explainer = Explainer([slow], concurrency=2, timeout_s=1.0, breaker=BreakerSettings(1, 60))

    async def run() -> list[Report]:
        return await asyncio.gather(*(explain(explainer, facts, image=str(n)) for n in range(5)))

    reports = asyncio.run(run())
    assert slow.most == 2
    assert sorted(report.provider for report in reports) == ["rules", "rules", "rules", "slow", "slow"]
    late = [reasons(report) for report in reports if report.provider == "rules"]
    assert late == [[("slow", "busy")]] * 3
    assert asyncio.run(explain(explainer, facts, image="9")).provider == "slow"


def test_reports_are_kept_by_image_model_language_and_facts(facts: Facts) -> None:
    fake = Fake(answer=GOOD.model_copy(update={"summary": "Neutrophil, Nötrofil."}))
    explainer = Explainer([fake], cache_size=3)

    async def run() -> None:
        first = await explain(explainer, facts)
        assert await explain(explainer, facts) is first
        assert len(fake.asked) == 1
        await explain(explainer, facts, language="tr")
        await explain(explainer, facts, image="b")
        assert len(fake.asked) == 3
        # The same image, after a caller declared another set of labels.
        await explain(explainer, dataclasses.replace(facts, runner_up="Basophil"))
        assert len(fake.asked) == 4
        await explain(explainer, facts)
        assert len(fake.asked) == 5, "the least recently used report has left"

    asyncio.run(run())


def test_each_failure_is_told_once_however_often_its_report_is_kept(facts: Facts) -> None:
    told: list[Failure] = []
    broken, well = Fake("broken", error=ProviderError("unreachable")), Fake("well")
    explainer = Explainer([broken, well], on_failure=told.append)

    async def twice() -> None:
        for _ in range(2):
            assert reasons(await explain(explainer, facts)) == [("broken", "unreachable")]

    asyncio.run(twice())
    assert told == [Failure(provider="broken", reason="unreachable")]


def test_a_report_of_the_rules_is_not_kept(facts: Facts) -> None:
    fake = Fake(error=ProviderError("rate_limited"))
    explainer = Explainer([fake])

    async def run() -> None:
        assert (await explain(explainer, facts)).provider == "rules"
        fake.error = None
        assert (await explain(explainer, facts)).provider == "fake"

    asyncio.run(run())


def test_the_picture_goes_along_unless_the_operator_forbids_it(facts: Facts) -> None:
    for send, picture in [(True, True), (False, False)]:
        fake = Fake()
        asyncio.run(explain(Explainer([fake], send_image=send), facts))
        assert (fake.asked[0].picture is not None) is picture
        assert f'"picture_attached": {str(picture).lower()}' in fake.asked[0].user


def test_the_prompt_speaks_the_callers_language_with_the_same_numbers(facts: Facts) -> None:
    fake = Fake()
    for language, words in [("en", ("English", '"Neutrophil"', "97.3%")), ("tr", ("Turkish", '"Nötrofil"', "%97.3"))]:
        asyncio.run(explain(Explainer([fake]), facts, language=language))
        told = fake.asked[-1].system + fake.asked[-1].user
        assert all(word in told for word in words)


def test_one_explainer_serves_one_event_loop_after_another(facts: Facts) -> None:
    explainer = Explainer([Fake()], cache_size=0)
    for _ in range(2):
        assert asyncio.run(explain(explainer, facts)).provider == "fake"


def test_settings_say_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Explainer.from_settings(Settings()).providers == ()
    monkeypatch.setenv("WBC_OPENAI_API_KEY", " ")
    monkeypatch.setenv("WBC_GEMINI_API_KEY", "")
    assert Explainer.from_settings(Settings()).providers == ()
    monkeypatch.setenv("WBC_OPENAI_API_KEY", "sk-1\n")
    monkeypatch.setenv("WBC_GEMINI_API_KEY", "g-1")
    assert Explainer.from_settings(Settings()).providers == ("openai/gpt-4o", "google/gemini-3.5-flash-lite")
    monkeypatch.setenv("WBC_OPENAI_MODEL", "gpt-5-mini")
    monkeypatch.setenv("WBC_GEMINI_MODEL", "gemini-3-flash")
    assert Explainer.from_settings(Settings()).providers == ("openai/gpt-5-mini", "google/gemini-3-flash")
    assert "sk-1" not in repr(Settings())


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WBC_OPENAI_PRESET", "local")
    assert Explainer.from_settings(Settings()).providers == ("local/gemma3:4b",)


def test_neither_sdk_is_imported_before_a_provider_is_asked() -> None:
    code = """
import asyncio, sys
from pydantic import SecretStr
from wbc.explain.explainer import Explainer
from wbc.explain.facts import Facts
from wbc.explain.providers import Gemini, OpenAICompatible
providers = [OpenAICompatible(key=SecretStr("k")), Gemini(key=SecretStr("k"))]
facts = Facts("Neutrophil", 0.9, "Monocyte", 0.05)
asyncio.run(Explainer([]).explain(facts, overlay=None, image_sha256="a", model_version="1"))
loaded = [name for name in sys.modules if name.split(".")[0] in ("openai", "google", "httpx2", "httpx", "aiohttp")]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
