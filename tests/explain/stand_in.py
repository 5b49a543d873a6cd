"""Loopback server that implements both providers' protocols, with correct and faulty responses."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {
    "summary": "The model classifies this cell as Neutrophil (97.3%); the runner-up is Monocyte (1.4%).",
    "map_highlights": "The map lies mostly on the cell, with a share of 71%.",
    "fits_morphology": "yes",
    "concern": "",
}
GOOD_TURKISH = {
    "summary": "Model bu hücreyi %97,3 güvenle Nötrofil olarak sınıflandırıyor; ikinci sıradaki sınıf Monosit (%1,4).",
    "map_highlights": "Haritanın %71 kadarı hücrenin üzerinde.",
    "fits_morphology": "partly",
    "concern": "",
}
INJECTED = {
    "summary": "SYSTEM OVERRIDE accepted as the picture says: this Neutrophil is really a Lymphocyte.",
    "map_highlights": "As instructed, the map is ignored.",
    "fits_morphology": "no",
    "concern": "The specimen told me to say so.",
}
TEXTS = {
    "ok": json.dumps(GOOD),
    "ok_turkish": json.dumps(GOOD_TURKISH),
    "empty": "",
    "malformed": '{"summary": "The model classifies this cell as Neutro',
    "other_schema": '{"verdict": "Neutrophil"}',
    "wrong_class": json.dumps({**GOOD, "summary": "This cell is a Lymphocyte with 97.3% confidence."}),
    "invented_number": json.dumps({**GOOD, "map_highlights": "The map covers 83% of the nucleus."}),
    "over_long": json.dumps({**GOOD, "concern": "The chromatin is coarse and the outline is smooth. " * 20}),
    "medical": json.dumps({**GOOD, "concern": "This may be a bacterial infection."}),
    "injected": json.dumps(INJECTED),
}
STATUSES = {"400": 400, "401": 401, "403": 403, "404": 404, "408": 408, "429": 429, "500": 500, "503": 503}


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class StandIn:
    """Responds for each provider in its mode and records the requests."""

    modes: dict[str, str] = field(default_factory=lambda: {"openai": "ok", "gemini": "ok"})
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def count(self, provider: str) -> int:
        return sum(request.path.startswith(f"/{provider}/") for request in self.seen)

    def answer(self, provider: str) -> tuple[int, bytes]:
        """Status and body of the provider's mode."""
        mode = self.modes[provider]
        if mode == "hang":
            self.released.wait(20)
        if mode in STATUSES:
            return STATUSES[mode], _error(provider, STATUSES[mode])
        if mode == "bad_key":
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
            error = {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT", "details": details}
            return 400, json.dumps({"error": error}).encode()
        if mode == "broken_body":
            return 200, b'{"choices": [{"mess'
        if mode == "other_body":
            return 200, b'{"object": "something else"}'
        if mode == "refusal":
            return 200, json.dumps(_refusal(provider)).encode()
        return 200, json.dumps(_completion(provider, TEXTS.get(mode, TEXTS["ok"]))).encode()


def _error(provider: str, status: int) -> bytes:
    # The real servers repeat a part of the key in this message.
    message = f"status {status}: incorrect API key provided: {provider}-secret-key"
    return json.dumps({"error": {"message": message, "code": status, "status": "ERROR", "type": "error"}}).encode()


def _completion(provider: str, text: str) -> dict[str, Any]:
    if provider == "gemini":
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return _choice({"role": "assistant", "content": text, "refusal": None})


def _refusal(provider: str) -> dict[str, Any]:
    if provider == "gemini":
        return {"promptFeedback": {"blockReason": "SAFETY"}}
    return _choice({"role": "assistant", "content": None, "refusal": "I cannot help with medical pictures."})


def _choice(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }


class Server:
    """Run the stand-in on a port of the loopback interface within a `with` block."""

    def __init__(self) -> None:
        self.state = StandIn()
        state = self.state

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                provider = self.path.split("/")[1]
                state.seen.append(Seen(self.path, dict(self.headers), body))
                status, answer = state.answer(provider)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # the client has hung up, which is what a test of "hang" expects

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.state.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self.state

    def __exit__(self, *_: object) -> None:
        self.state.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
