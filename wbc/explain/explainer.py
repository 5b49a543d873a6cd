"""One cell's facts to one report, whatever happens to the language models on the way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from wbc.explain.breaker import Breaker, BreakerSettings
from wbc.explain.compose import compose
from wbc.explain.facts import Facts
from wbc.explain.guard import objection
from wbc.explain.prompt import build_request
from wbc.explain.providers import PRESETS, Answer, Gemini, OpenAICompatible, Provider, ProviderError, Request
from wbc.explain.report import RULES, Failure, Report
from wbc.explain.rules import rule_report
from wbc.explain.wording import Language
from wbc.images import encode_png

if TYPE_CHECKING:
    from wbc.settings import Settings

__all__ = ["RULES", "Explainer", "Failure", "Report"]

log = logging.getLogger(__name__)

FIRST_SHARE = 0.6
"""Share of the remaining time that a provider gets while another one waits behind it: a hanging first provider
leaves the second one time to answer."""


class Explainer:
    """Asks the providers one after another within one deadline; the rules write the report that none of them writes.

    A provider's answer is taken only if the guard has no objection to it. A provider that fails several times in a row
    is left alone for a while. Reports of providers are kept, by image, model version, language and facts; those of
    the rules are not, so that a provider is asked again once it is well. All state is of this process.

    Args:
        providers: in the order in which they are asked; none leaves the rules.
        timeout_s: longest time a report may take, over all providers together.
        concurrency: requests to providers in progress; a further one waits within its own time.
        cache_size: reports that are kept, the least recently used one leaving first; 0 keeps none.
        breaker: when a failing provider is left alone, and how long.
        send_image: whether the overlay picture goes with the facts.
        clock: seconds from an arbitrary start, for the breakers.
        on_failure: told of each provider that did not write a report it was asked for, or passed over for.
    """

    def __init__(
        self,
        providers: Sequence[Provider] = (),
        *,
        timeout_s: float = 8.0,
        concurrency: int = 4,
        cache_size: int = 256,
        breaker: BreakerSettings | None = None,
        send_image: bool = True,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        self._providers = tuple((provider, Breaker(breaker or BreakerSettings(), clock)) for provider in providers)
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._cache_size = cache_size
        self._cache: OrderedDict[Hashable, Report] = OrderedDict()
        self._send_image = send_image
        self._on_failure = on_failure
        self._slots: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def from_settings(cls, settings: Settings, on_failure: Callable[[Failure], None] | None = None) -> Explainer:
        """The explainer of a process. A provider without a key is left out, unless its preset needs none."""
        return cls(
            _configured(settings),
            timeout_s=settings.explain_timeout_s,
            concurrency=settings.explain_concurrency,
            cache_size=settings.explain_cache_size,
            breaker=BreakerSettings(settings.explain_breaker_failures, settings.explain_breaker_cooldown_s),
            send_image=settings.explain_send_image,
            on_failure=on_failure,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the configured providers, in the order in which they are asked."""
        return tuple(provider.name for provider, _ in self._providers)

    async def explain(
        self,
        facts: Facts,
        *,
        overlay: NDArray[np.uint8] | None,
        image_sha256: str,
        model_version: str,
        language: Language = "en",
    ) -> Report:
        """A report on one cell; trouble with a provider is told in it and never raised.

        Args:
            facts: what the report may say.
            overlay: RGB uint8 (H, W, 3), the cell under its activation map; None where there is no picture to send.
            image_sha256: hash of the image's bytes.
            model_version: version of the model that made the facts.
            language: "en" or "tr".

        Raises:
            InvalidParameter: there is no report in that language.
        """
        fallback = rule_report(facts, language)
        if not self._providers:
            return Report(text=fallback, provider=RULES, language=language)
        key = (image_sha256, model_version, language, facts)
        if (kept := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return kept
        failures: list[Failure] = []
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        request = await self._request(facts, language, overlay)
        for index, (provider, breaker) in enumerate(self._providers):
            others_wait = any(later.ready for _, later in self._providers[index + 1 :])
            try:
                answer = await self._ask(provider, breaker, request, deadline, others_wait)
                text = _accepted(answer, facts, language)
            except ProviderError as error:
                log.log(_level(error.reason), "%s wrote no report: %s", provider.name, error.reason)
                failures.append(Failure(provider=provider.name, reason=error.reason))
                if self._on_failure is not None:
                    self._on_failure(failures[-1])
                continue
            report = Report(text=text, provider=provider.name, language=language, failures=tuple(failures))
            self._keep(key, report)
            return report
        return Report(text=fallback, provider=RULES, language=language, failures=tuple(failures))

    async def warm_up(self) -> None:
        """Import the configured providers' SDKs now, so that the first report does not wait for it; sends nothing."""
        for provider, _ in self._providers:
            await provider.warm_up()

    async def aclose(self) -> None:
        """Close the providers' connections."""
        for provider, _ in self._providers:
            await provider.aclose()

    async def _request(self, facts: Facts, language: Language, overlay: NDArray[np.uint8] | None) -> Request:
        picture = None
        if overlay is not None and self._send_image and any(breaker.ready for _, breaker in self._providers):
            picture = await asyncio.to_thread(encode_png, overlay)
        return build_request(facts, language, picture)

    async def _ask(
        self, provider: Provider, breaker: Breaker, request: Request, deadline: float, others_wait: bool
    ) -> Answer:
        """One provider's answer within its share of the time; tells its breaker how it went.

        Raises:
            ProviderError: there is none, for whatever reason.
        """
        if not breaker.enter():
            raise ProviderError("circuit_open")
        loop = asyncio.get_running_loop()
        share = (deadline - loop.time()) * (FIRST_SHARE if others_wait else 1.0)
        end = loop.time() + share
        asked_at: float | None = None
        reason = "cancelled"
        try:
            async with asyncio.timeout_at(end), self._slot():
                asked_at = loop.time()
                answer = await provider.ask(request)
            reason = "answered"
        except TimeoutError:
            # A provider whose question waited for a slot most of the time is not to blame.
            blamed = asked_at is not None and end - asked_at >= share / 2
            reason = "timeout" if blamed else "busy"
            raise ProviderError(reason) from None
        except ProviderError as error:
            reason = error.reason
            raise
        except Exception as error:  # noqa: BLE001 - whatever a provider does, the report is written
            log.warning("%s failed unexpectedly: %s", provider.name, type(error).__name__)
            reason = "unexpected"
            raise ProviderError(reason) from None
        finally:
            _tell(breaker, reason)
        return answer

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._slots is None or self._loop is not loop:
            self._slots, self._loop = asyncio.Semaphore(self._concurrency), loop
        return self._slots

    def _keep(self, key: Hashable, report: Report) -> None:
        self._cache[key] = report
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)


def _accepted(answer: Answer, facts: Facts, language: Language) -> str:
    """The text of a report, if the guard lets the answer through.

    Raises:
        ProviderError: it does not.
    """
    why = objection(answer, facts, language)
    if why is not None:
        raise ProviderError(f"guard:{why}")
    return compose(answer, facts, language)


def _tell(breaker: Breaker, reason: str) -> None:
    if reason in ("busy", "cancelled"):
        breaker.abandoned()
    elif reason in ("answered", "refused"):  # a refusal tells of one cell, not of the provider's health
        breaker.succeeded()
    else:
        breaker.failed()


def _level(reason: str) -> int:
    return logging.DEBUG if reason == "circuit_open" else logging.WARNING


def _configured(settings: Settings) -> list[Provider]:
    providers: list[Provider] = []
    key = _given(settings.openai_api_key)
    if key or not PRESETS[settings.openai_preset].needs_key:
        providers.append(
            OpenAICompatible(
                settings.openai_preset,
                key=key,
                base_url=settings.openai_base_url,
                model=settings.openai_model,
                timeout_s=settings.openai_timeout_s,
            )
        )
    if key := _given(settings.gemini_api_key):
        providers.append(
            Gemini(
                key=key,
                model=settings.gemini_model,
                base_url=settings.gemini_base_url,
                timeout_s=settings.gemini_timeout_s,
            )
        )
    return providers


def _given(key: SecretStr | None) -> SecretStr | None:
    """The key without surrounding blanks; None where nothing is left."""
    stripped = key.get_secret_value().strip() if key else ""
    return SecretStr(stripped) if stripped else None
