"""Write reports with language models, with the rules as fallback."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pydantic import SecretStr

from wbc.explain.breaker import Breaker, BreakerSettings
from wbc.explain.exchange import Answer, Provider, ProviderError, Request
from wbc.explain.facts import Facts
from wbc.explain.guard import objection
from wbc.explain.prompt import build_request
from wbc.explain.providers import PRESETS, Gemini, OpenAICompatible
from wbc.explain.report import RULES, Failure, Report
from wbc.explain.rules import compose, rule_report
from wbc.explain.wording import Language
from wbc.images import encode_png

if TYPE_CHECKING:
    from wbc.settings import Settings

__all__ = ["RULES", "Explainer", "Failure", "Report"]

log = logging.getLogger(__name__)

FIRST_SHARE = 0.6
"""Share of the remaining time for a provider that is not the last, so that the next one has time left."""


class Explainer:
    """Tries the providers in order within one deadline; if all fail, the rules write the report.

    The guard must accept a provider's answer. A circuit breaker suspends a provider after repeated failures. Reports of
    providers are cached by image, model version, language and facts; those of the rules are not, so that the providers
    are tried again. All state belongs to this process.

    Args:
        providers: providers in order; without any, the rules write all reports.
        timeout_s: maximum time of a report, over all providers.
        concurrency: maximum number of provider requests in progress; further ones wait within their time.
        cache_size: maximum number of cached reports, evicted least recently used first; 0 disables the cache.
        breaker: settings of the circuit breakers.
        send_image: send the overlay with the facts.
        clock: seconds from an arbitrary start, for the breakers.
        on_failure: called for each provider that fails or is suspended.
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
        self._concurrency = asyncio.Semaphore(concurrency)
        self._cache: LRUCache[Hashable, Report] = LRUCache(cache_size)
        self._send_image = send_image
        self._on_failure = on_failure

    @classmethod
    def from_settings(cls, settings: Settings, on_failure: Callable[[Failure], None] | None = None) -> Explainer:
        """Create the explainer of a process; providers without a key are left out, unless they need none."""
        return cls(
            _create_providers(settings),
            timeout_s=settings.explain_timeout_s,
            concurrency=settings.explain_concurrency,
            cache_size=settings.explain_cache_size,
            breaker=BreakerSettings(settings.explain_breaker_failures, settings.explain_breaker_cooldown_s),
            send_image=settings.explain_send_image,
            on_failure=on_failure,
        )

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the providers, in order."""
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
        """Write a report on one cell; failures of providers are listed in it and never raised.

        Args:
            facts: facts that the report may state.
            overlay: RGB uint8 (H, W, 3), the cell under its activation map; None sends no picture.
            image_sha256: hash of the image's bytes.
            model_version: version of the model.
            language: "en" or "tr".

        Raises:
            InvalidParameter: the language is not supported.
        """
        fallback = rule_report(facts, language)
        if not self._providers:
            return Report(text=fallback, provider=RULES, language=language)
        key = (image_sha256, model_version, language, facts)
        if (cached := self._cache.get(key)) is not None:
            return cached
        failures: list[Failure] = []
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        request = await self._build_request(facts, language, overlay)
        for index, (provider, breaker) in enumerate(self._providers):
            has_next = any(later.ready for _, later in self._providers[index + 1 :])
            try:
                answer = await self._ask(provider, breaker, request, deadline, has_next)
                text = _check_answer(answer, facts, language)
            except ProviderError as error:
                level = logging.DEBUG if error.reason == "circuit_open" else logging.WARNING
                log.log(level, "%s did not write a report: %s", provider.name, error.reason)
                failures.append(Failure(provider=provider.name, reason=error.reason))
                if self._on_failure is not None:
                    self._on_failure(failures[-1])
                continue
            report = Report(text=text, provider=provider.name, language=language, failures=tuple(failures))
            if self._cache.maxsize:
                self._cache[key] = report
            return report
        return Report(text=fallback, provider=RULES, language=language, failures=tuple(failures))

    async def warm_up(self) -> None:
        """Import the SDKs of the providers ahead of the first report; sends nothing."""
        for provider, _ in self._providers:
            await provider.warm_up()

    async def aclose(self) -> None:
        """Close the connections of the providers."""
        for provider, _ in self._providers:
            await provider.aclose()

    async def _build_request(self, facts: Facts, language: Language, overlay: NDArray[np.uint8] | None) -> Request:
        picture = None
        if overlay is not None and self._send_image and any(breaker.ready for _, breaker in self._providers):
            picture = await asyncio.to_thread(encode_png, overlay)
        return build_request(facts, language, picture)

    async def _ask(
        self, provider: Provider, breaker: Breaker, request: Request, deadline: float, has_next: bool
    ) -> Answer:
        """Request an answer within a share of the remaining time, and update the breaker.

        Raises:
            ProviderError: the provider failed, for any reason.
        """
        if not breaker.acquire():
            raise ProviderError("circuit_open")
        loop = asyncio.get_running_loop()
        share = (deadline - loop.time()) * (FIRST_SHARE if has_next else 1.0)
        end = loop.time() + share
        sent_at: float | None = None
        reason = "cancelled"
        try:
            async with asyncio.timeout_at(end), self._concurrency:
                sent_at = loop.time()
                answer = await provider.ask(request)
            reason = "answered"
        except TimeoutError:
            # A provider is not at fault if the request waited for its turn most of the time.
            at_fault = sent_at is not None and end - sent_at >= share / 2
            reason = "timeout" if at_fault else "busy"
            raise ProviderError(reason) from None
        except ProviderError as error:
            reason = error.reason
            raise
        except Exception as error:  # noqa: BLE001 - no error of a provider may fail the report
            log.warning("%s failed unexpectedly: %s", provider.name, type(error).__name__)
            reason = "unexpected"
            raise ProviderError(reason) from None
        finally:
            _update_breaker(breaker, reason)
        return answer


def _check_answer(answer: Answer, facts: Facts, language: Language) -> str:
    """Return the text of a report.

    Raises:
        ProviderError: the guard rejects the answer.
    """
    why = objection(answer, facts, language)
    if why is not None:
        raise ProviderError(f"guard:{why}")
    return compose(answer, facts, language)


def _update_breaker(breaker: Breaker, reason: str) -> None:
    if reason in ("busy", "cancelled"):
        breaker.release()
    elif reason in ("answered", "refused"):  # a refusal concerns one cell, not the provider
        breaker.record_success()
    else:
        breaker.record_failure()


def _create_providers(settings: Settings) -> list[Provider]:
    providers: list[Provider] = []
    key = _strip_key(settings.openai_api_key)
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
    if key := _strip_key(settings.gemini_api_key):
        providers.append(
            Gemini(
                key=key,
                model=settings.gemini_model,
                base_url=settings.gemini_base_url,
                timeout_s=settings.gemini_timeout_s,
            )
        )
    return providers


def _strip_key(key: SecretStr | None) -> SecretStr | None:
    """Return the key without surrounding whitespace; None if it is empty."""
    stripped = key.get_secret_value().strip() if key else ""
    return SecretStr(stripped) if stripped else None
