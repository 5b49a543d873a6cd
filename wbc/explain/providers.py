"""Providers of language models; the only module of this package that uses the network.

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

import base64
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import SecretStr

from wbc.explain.exchange import Answer, ProviderError, Request
from wbc.explain.sdk import SDKProvider, reason_of_status

if TYPE_CHECKING:
    import httpx2
    import openai
    from google import genai

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


class OpenAICompatible(SDKProvider["openai.AsyncOpenAI"]):
    """A server with OpenAI's chat completions API.

    Args:
        preset: one of `PRESETS`, with the default base URL and model.
        key: API key; optional if the preset needs none.
        base_url: URL of the server, including the version path.
        model: name of the model on that server.
        timeout_s: maximum time of one answer.
    """

    module = "openai"

    def __init__(
        self,
        preset: str = "openai/gpt-4o",
        *,
        key: SecretStr | None = None,
        base_url: str | None = None,
        model: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        super().__init__()
        self._key, self._timeout_s = key, timeout_s
        self._base_url, self._model = base_url or PRESETS[preset].base_url, model or PRESETS[preset].model
        self.name = self._model if "/" in self._model else f"{preset.partition('/')[0]}/{self._model}"

    def _create_client(self) -> openai.AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(
            base_url=self._base_url,
            # The SDK requires a key; a local server ignores it.
            api_key=self._key.get_secret_value() if self._key else "none",
            timeout=openai.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S),
            max_retries=0,  # the next provider is tried instead
        )

    async def _close(self, client: openai.AsyncOpenAI) -> None:
        await client.close()

    async def _send(self, client: openai.AsyncOpenAI, request: Request) -> Answer:
        content: list[openai.types.chat.ChatCompletionContentPartParam] = [{"type": "text", "text": request.user}]
        if request.picture is not None:
            url = "data:image/png;base64," + base64.b64encode(request.picture).decode("ascii")
            content.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
        completion = await client.chat.completions.parse(
            model=self._model,
            messages=[{"role": "system", "content": request.system}, {"role": "user", "content": content}],
            response_format=Answer,
            max_completion_tokens=MAX_TOKENS,
        )
        message = completion.choices[0].message
        if message.refusal or message.parsed is None:
            raise ProviderError("refused" if message.refusal else "empty")
        return message.parsed

    def _explain(self, error: Exception) -> str | None:
        import openai

        match error:
            case openai.APIStatusError():
                return reason_of_status(error.status_code)
            case openai.APITimeoutError():
                return "timeout"
            case openai.APIConnectionError():
                return "unreachable"
            case openai.ContentFilterFinishReasonError():
                return "refused"
            case openai.OpenAIError():
                return "malformed"
        return None


class Gemini(SDKProvider[tuple["genai.Client", "httpx2.AsyncClient"]]):
    """Google Gemini, through google-genai.

    Args:
        key: API key.
        model: name of the model.
        base_url: server instead of the SDK's default.
        timeout_s: maximum time of one answer.
    """

    module = "google.genai"

    def __init__(
        self,
        *,
        key: SecretStr,
        model: str = "gemini-3.5-flash-lite",
        base_url: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        super().__init__()
        self._key, self._model, self._base_url, self._timeout_s = key, model, base_url, timeout_s
        self.name = f"google/{model}"

    def _create_client(self) -> tuple[genai.Client, httpx2.AsyncClient]:
        import httpx2
        from google import genai
        from google.genai import types

        # The default transport of the SDK retries a broken connection after up to ten seconds.
        http = httpx2.AsyncClient(timeout=httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S))
        options = types.HttpOptions(
            base_url=self._base_url, timeout=round(self._timeout_s * 1000), httpx_async_client=http
        )
        # Explicit, since the SDK would otherwise select the Google service from environment variables.
        return genai.Client(api_key=self._key.get_secret_value(), vertexai=False, http_options=options), http

    async def _close(self, client: tuple[genai.Client, httpx2.AsyncClient]) -> None:
        sdk, http = client
        await sdk.aio.aclose()
        sdk.close()
        await http.aclose()

    async def _send(self, client: tuple[genai.Client, httpx2.AsyncClient], request: Request) -> Answer:
        from google.genai import types

        parts = [types.Part.from_text(text=request.user)]
        if request.picture is not None:
            parts.append(types.Part.from_bytes(data=request.picture, mime_type="image/png"))
        config = types.GenerateContentConfig(
            system_instruction=request.system,
            response_mime_type="application/json",
            response_schema=Answer,
            max_output_tokens=MAX_TOKENS,
        )
        response = await client[0].aio.models.generate_content(
            model=self._model, contents=types.Content(role="user", parts=parts), config=config
        )
        text = response.text
        if text and text.strip():
            return Answer.model_validate_json(text)
        finished = response.candidates[0].finish_reason if response.candidates else None
        blocked = response.prompt_feedback is not None and response.prompt_feedback.block_reason is not None
        silent = finished in (None, types.FinishReason.STOP, types.FinishReason.MAX_TOKENS)
        raise ProviderError("refused" if blocked or not silent else "empty")

    def _explain(self, error: Exception) -> str | None:
        import httpx2
        from google.genai import errors

        match error:
            case errors.APIError():
                # A wrong key results in status 400 with the reason in the details.
                return "unauthorized" if "API_KEY_INVALID" in str(error.details) else reason_of_status(error.code)
            case TimeoutError() | httpx2.TimeoutException():
                return "timeout"
            case httpx2.HTTPError():
                return "unreachable"
        return None
