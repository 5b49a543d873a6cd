"""Providers of language models; the only module of this package that uses the network.

SDKs are imported in a thread when a provider is first used or warmed up; a process without providers imports none.
All exceptions of an SDK are converted to a `ProviderError` with a stable word:

    unauthorized    the key is not accepted
    rate_limited    too many requests, or no remaining quota
    server_error    the provider failed
    rejected        invalid request, such as an unknown model or parameter
    timeout         no answer in time
    unreachable     no connection
    empty           an answer without text
    malformed       an answer that does not match the schema
    refused         the model declines to answer

`wbc.explain.explainer` adds `guard:<objection>`, `circuit_open`, `busy` and `unexpected`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import SecretStr, ValidationError

from wbc.explain.exchange import Answer, ProviderError, Request

if TYPE_CHECKING:
    import httpx2
    import openai
    from google import genai

Client = TypeVar("Client")

CONNECT_TIMEOUT_S = 3.0
MAX_TOKENS = 2048
"""Maximum tokens of an answer: far more than 120 words, since the reasoning of some models counts too."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Base URL and model of an OpenAI-compatible provider."""

    base_url: str
    model: str
    needs_key: bool


PRESETS = MappingProxyType(
    {
        "openai/gpt-4o": Preset("https://api.openai.com/v1", "gpt-4o", needs_key=True),
        # The default port of Ollama; any server with this API can be used.
        "local": Preset("http://127.0.0.1:11434/v1", "gemma3:4b", needs_key=False),
    }
)


class OpenAICompatible:
    """A server with OpenAI's chat completions API.

    Args:
        preset: one of `PRESETS`, with the default base URL and model.
        key: API key; optional if the preset needs none.
        base_url: URL of the server, including the version path.
        model: name of the model on that server.
        timeout_s: maximum time of one answer.
    """

    def __init__(
        self,
        preset: str = "openai/gpt-4o",
        *,
        key: SecretStr | None = None,
        base_url: str | None = None,
        model: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        chosen = PRESETS[preset]
        self._key = key
        self._base_url = base_url or chosen.base_url
        self._model = model or chosen.model
        self._timeout_s = timeout_s
        self._client = _Lazy(self._build, "openai")
        self.name = self._model if "/" in self._model else f"{preset.partition('/')[0]}/{self._model}"

    async def ask(self, request: Request) -> Answer:
        client = await self._client.get()
        import openai

        try:
            completion = await client.chat.completions.parse(
                model=self._model,
                messages=[
                    {"role": "system", "content": request.system},
                    {"role": "user", "content": _openai_content(request)},
                ],
                response_format=Answer,
                max_completion_tokens=MAX_TOKENS,
            )
            message = completion.choices[0].message
        except openai.APIStatusError as error:
            raise ProviderError(_status_reason(error.status_code)) from None
        except openai.APITimeoutError:
            raise ProviderError("timeout") from None
        except openai.APIConnectionError:
            raise ProviderError("unreachable") from None
        except openai.ContentFilterFinishReasonError:
            raise ProviderError("refused") from None
        # The SDK does not wrap ValueError of the JSON decoder and of pydantic, and fails on a body of another shape.
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, IndexError):
            raise ProviderError("malformed") from None
        if message.refusal:
            raise ProviderError("refused")
        if message.parsed is None:
            raise ProviderError("empty")
        return message.parsed

    async def warm_up(self) -> None:
        await self._client.get()

    async def aclose(self) -> None:
        if client := self._client.take():
            await client.close()

    def _build(self) -> openai.AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(
            base_url=self._base_url,
            # The SDK requires a key; a local server ignores it.
            api_key=self._key.get_secret_value() if self._key else "none",
            timeout=openai.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S),
            max_retries=0,  # the next provider is tried instead
        )


class Gemini:
    """Google Gemini, through google-genai.

    Args:
        key: API key.
        model: name of the model.
        base_url: server instead of the SDK's default.
        timeout_s: maximum time of one answer.
    """

    def __init__(
        self,
        *,
        key: SecretStr,
        model: str = "gemini-2.5-flash",
        base_url: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        self._key = key
        self._base_url = base_url
        self._model = model
        self._timeout_s = timeout_s
        self._client = _Lazy(self._build, "google.genai")
        self.name = f"google/{model}"

    async def ask(self, request: Request) -> Answer:
        client = (await self._client.get()).genai
        import httpx2
        from google.genai import errors, types

        parts = [types.Part.from_text(text=request.user)]
        if request.picture is not None:
            parts.append(types.Part.from_bytes(data=request.picture, mime_type="image/png"))
        config = types.GenerateContentConfig(
            system_instruction=request.system,
            response_mime_type="application/json",
            response_schema=Answer,
            max_output_tokens=MAX_TOKENS,
            # Reasoning takes too long for a report; this family of models can do without.
            thinking_config=types.ThinkingConfig(thinking_budget=0) if "2.5-flash" in self._model else None,
        )
        try:
            response = await client.aio.models.generate_content(
                model=self._model, contents=types.Content(role="user", parts=parts), config=config
            )
        except errors.APIError as error:
            # A wrong key results in status 400 with the reason in the details.
            wrong_key = "API_KEY_INVALID" in str(error.details)
            raise ProviderError("unauthorized" if wrong_key else _status_reason(error.code)) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise ProviderError("timeout") from None
        except httpx2.HTTPError:
            raise ProviderError("unreachable") from None
        except (ValueError, TypeError, AttributeError, IndexError):
            raise ProviderError("malformed") from None
        return _gemini_answer(response)

    async def warm_up(self) -> None:
        await self._client.get()

    async def aclose(self) -> None:
        if client := self._client.take():
            await client.genai.aio.aclose()
            client.genai.close()
            await client.http.aclose()

    def _build(self) -> _GeminiClient:
        import httpx2
        from google import genai
        from google.genai import types

        # The default transport of the SDK retries a broken connection after up to ten seconds.
        http = httpx2.AsyncClient(timeout=httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S))
        options = types.HttpOptions(
            base_url=self._base_url, timeout=round(self._timeout_s * 1000), httpx_async_client=http
        )
        # Explicit, since the SDK would otherwise select the Google service from environment variables.
        client = genai.Client(api_key=self._key.get_secret_value(), vertexai=False, http_options=options)
        return _GeminiClient(client, http)


@dataclass(frozen=True, slots=True)
class _GeminiClient:
    genai: genai.Client
    http: httpx2.AsyncClient


class _Lazy(Generic[Client]):
    """A client that is created on first use, once per event loop, since its connections belong to one."""

    def __init__(self, build: Callable[[], Client], module: str) -> None:
        self._build = build
        self._module = module
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self) -> Client:
        # Importing an SDK takes seconds; in a thread it does not block other requests.
        if self._client is None:
            await asyncio.to_thread(__import__, self._module)
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._build(), loop
        return self._client

    def take(self) -> Client | None:
        """Return the client for the caller to close; None if this event loop has none."""
        client = self._client if self._loop is asyncio.get_running_loop() else None
        self._client = self._loop = None
        return client


def _openai_content(request: Request) -> list[openai.types.chat.ChatCompletionContentPartParam]:
    content: list[openai.types.chat.ChatCompletionContentPartParam] = [{"type": "text", "text": request.user}]
    if request.picture is not None:
        url = "data:image/png;base64," + base64.b64encode(request.picture).decode("ascii")
        content.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    return content


def _gemini_answer(response: genai.types.GenerateContentResponse) -> Answer:
    from google.genai.types import FinishReason

    text = response.text
    if not (text and text.strip()):
        finished = response.candidates[0].finish_reason if response.candidates else None
        blocked = response.prompt_feedback is not None and response.prompt_feedback.block_reason is not None
        silent = finished in (None, FinishReason.STOP, FinishReason.MAX_TOKENS)
        raise ProviderError("refused" if blocked or not silent else "empty")
    try:
        return Answer.model_validate_json(text)
    except ValidationError:
        raise ProviderError("malformed") from None


def _status_reason(status: int) -> str:
    if status in (401, 403):
        return "unauthorized"
    if status in (408, 504):
        return "timeout"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "rejected"
