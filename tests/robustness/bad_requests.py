"""Requests that are wrong around the image: file names, multipart bodies, HTTP itself, parameters.

The image inside is sound, so that an answer of 200 says that the rest was accepted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tests.robustness.bad_images import DAMAGED, LENIENT, OPENED, TOO_LARGE, picture, saved
from tests.robustness.wire import BOUNDARY, CLOSED, FORM, form, part, request

MISSING = frozenset({404})
WRONG_METHOD = frozenset({405})
UNPARSED = frozenset({400, CLOSED})
"""No HTTP: refused before the application sees it."""


@dataclass(frozen=True, slots=True)
class BadRequest:
    """A request and what is right for it.

    Attributes:
        name: what it is called in reports.
        payload: all of its bytes.
        statuses: the right ones.
        half_close: the client ends its sending direction behind the payload.
        method: of the request; an answer to HEAD has no body.
        parsed: whether it is HTTP at all; where it is not, the server's parser answers in plain text.
    """

    name: str
    payload: bytes
    statuses: frozenset[int]
    half_close: bool = False
    method: str = "POST"
    parsed: bool = True


@lru_cache(maxsize=1)
def bad_requests(max_body_bytes: int = 10 << 20) -> tuple[BadRequest, ...]:
    """All of them, for a server with this limit on the body."""
    return tuple(
        itertools.chain(_names(), _multipart(), _lengths(max_body_bytes), _methods(), _parameters(), _broken())
    )


@lru_cache(maxsize=1)
def _cell() -> bytes:
    return saved(picture(), "PNG")


def _names() -> Iterator[BadRequest]:
    """File names; the service reads none of them."""
    for name, filename in {
        "path": b"../../../../etc/passwd",
        "absolute path": b"/etc/shadow",
        "Windows path": b"..\\..\\windows\\win.ini",
        "encoded path": b"..%2f..%2fetc%2fpasswd",
        "NUL": b"cell.png\0.exe",
        "empty": b"",
        "blank": b" ",
        "dots": b"..",
        "quotes": b'a"b".png',
        "escaped quotes": b'a\\"b.png',
        "semicolons": b"a;b;c.png",
        "HTML": b"<img src=x onerror=alert(1)>.png",
        "SQL": b"'; drop table images;--.png",
        "shell": b"$(touch x);`id`|true.png",
        "format": b"%s%n{0}{{}}.png",
        "right to left": "cell\u202egnp.exe".encode(),
        "combining marks": ("e" + "\u0301" * 200 + ".png").encode(),
        "emoji": "🩸.png".encode(),
        "no UTF-8": b"\xff\xfe\xfa.png",
        "control characters": bytes(range(1, 9)) + b".png",
        "DEL and tab": b"a\tb\x7f.png",
        "device": b"con.png",
        "log line": b"%0d%0a2026-01-01 CRITICAL forged",
        "long": b"a" * 4000 + b".png",
    }.items():
        body = form(part(_cell(), b'form-data; name="file"; filename="' + filename + b'"'))
        yield BadRequest(f"file name: {name}", request(body), LENIENT)
    injected = b'form-data; name="file"; filename="a\r\nSet-Cookie: injected=1\r\nX-Injected: 1"'
    yield BadRequest("file name: header injection", request(form(part(_cell(), injected))), LENIENT)
    longer = b'form-data; name="file"; filename="' + b"a" * 200_000 + b'"'
    yield BadRequest("file name: 200 kB", request(form(part(_cell(), longer))), LENIENT)
    for name, disposition in {
        "none": b'form-data; name="file"',
        "extended": b"form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.png",
        "extended, wrong charset": b"form-data; name=\"file\"; filename*=klingon''%ff.png",
        "twice": b'form-data; name="file"; filename="a.png"; filename="b.png"',
        "no closing quote": b'form-data; name="file"; filename="a.png',
    }.items():
        statuses = DAMAGED if name == "none" else LENIENT
        yield BadRequest(f"file name: {name}", request(form(part(_cell(), disposition))), statuses)


def _multipart() -> Iterator[BadRequest]:
    whole = form(part(_cell()))
    closing = f"--{BOUNDARY}--\r\n".encode()
    for name, body, statuses in (
        ("cut in the first boundary", whole[:5], DAMAGED),
        ("cut in the head of a part", whole[:60], DAMAGED),
        ("cut in the data", whole[: len(whole) // 2], DAMAGED),
        ("no final boundary", whole.removesuffix(closing), DAMAGED),
        ("cut in the final boundary", whole[:-4], LENIENT),
        ("no body", b"", DAMAGED),
        ("final boundary alone", closing, DAMAGED),
        ("head without an end", f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode(), DAMAGED),
        ("head without a line break", f"--{BOUNDARY}\r\n".encode() + b"X: " + b"a" * 300_000, DAMAGED),
        ("1,000 heads", form(part(_cell(), *[b'form-data; name="file"; filename="c"'], *[b"X-A: b"] * 1000)), LENIENT),
        ("no disposition", f"--{BOUNDARY}\r\n\r\nabc\r\n".encode() + closing, DAMAGED),
        ("disposition of another kind", form(part(_cell(), b'attachment; filename="cell.png"')), DAMAGED),
        ("disposition of no name", form(part(_cell(), b'form-data; filename="cell.png"')), DAMAGED),
        ("empty name", form(part(_cell(), b'form-data; name=""; filename="cell.png"')), DAMAGED),
        ("line feeds alone", whole.replace(b"\r\n", b"\n"), DAMAGED),
        ("words before", b"preamble\r\n" + whole, LENIENT),
        ("words behind", whole + b"epilogue" * 100, LENIENT),
        ("another boundary", whole.replace(BOUNDARY.encode(), b"other"), DAMAGED),
        (
            "nested",
            form(part(form(part(_cell())), b'form-data; name="file"', b"Content-Type: multipart/mixed; boundary=x")),
            DAMAGED,
        ),
        (
            "coded as base64",
            form(part(b"aGFsbG8=", b'form-data; name="file"; filename="c"', b"Content-Transfer-Encoding: base64")),
            frozenset({400, 415}),
        ),
        ("wrong field", form(part(_cell(), b'form-data; name="image"; filename="cell.png"')), DAMAGED),
        ("field in capitals", form(part(_cell(), b'form-data; name="FILE"; filename="cell.png"')), DAMAGED),
        ("two files", form(part(_cell()), part(_cell())), DAMAGED),
        ("a file and words of one name", form(part(_cell()), part(b"words", b'form-data; name="file"')), DAMAGED),
        ("a file beside words", form(part(b"words", b'form-data; name="note"'), part(_cell())), OPENED),
        (
            "a hundred fields",
            form(*[part(b"x", b'form-data; name="n%d"' % n) for n in range(100)], part(_cell())),
            DAMAGED,
        ),
        ("a hundred files", form(*[part(b"x", b'form-data; name="n"; filename="x"')] * 100, part(_cell())), DAMAGED),
        ("2 MiB of words", form(part(b"x" * (2 << 20), b'form-data; name="note"'), part(_cell())), DAMAGED),
    ):
        yield BadRequest(f"multipart: {name}", request(body), statuses)
    for name, kind, statuses in (
        ("no boundary", "multipart/form-data", DAMAGED),
        ("an empty boundary", "multipart/form-data; boundary=", DAMAGED),
        ("a boundary of 5,000", f"multipart/form-data; boundary={'b' * 5000}", DAMAGED),
        ("a boundary of other letters", "multipart/form-data; boundary=\xff\xfe", DAMAGED),
        ("another boundary", "multipart/form-data; boundary=other", DAMAGED),
        ("a boundary in quotes", f'multipart/form-data; boundary="{BOUNDARY}"', OPENED),
        ("a charset of no kind", f"{FORM}; charset=klingon", LENIENT),
        ("capitals", FORM.replace("multipart/form-data", "Multipart/Form-Data"), OPENED),
        ("multipart/mixed", FORM.replace("form-data", "mixed"), DAMAGED),
        ("image/png", "image/png", DAMAGED),
        ("JSON", "application/json", DAMAGED),
        ("a form", "application/x-www-form-urlencoded", DAMAGED),
        ("nonsense", ";;;", DAMAGED),
    ):
        yield BadRequest(f"content type: {name}", request(whole, headers=(f"Content-Type: {kind}",)), statuses)
    yield BadRequest("content type: none", request(whole, headers=()), DAMAGED)
    two = (f"Content-Type: {FORM}", "Content-Type: text/plain")
    yield BadRequest("content type: two", request(whole, headers=two), LENIENT)


def _lengths(limit: int) -> Iterator[BadRequest]:
    whole = form(part(_cell()))
    kind = f"Content-Type: {FORM}"

    def announced(length: object, body: bytes = whole) -> bytes:
        return request(body, headers=(kind, f"Content-Length: {length}"))

    def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
        coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return request(coded + end, headers=(kind, "Transfer-Encoding: chunked"))

    large = form(part(bytes(limit + 1024)))
    megabyte = bytes(1 << 20)
    yield BadRequest("length: shorter than the body", announced(len(whole) // 2), DAMAGED)
    yield BadRequest("length: longer than the body", announced(len(whole) + 100), UNPARSED, half_close=True)
    yield BadRequest("length: zero", announced(0), DAMAGED)
    yield BadRequest("length: oversize, announced", announced(len(large), large), TOO_LARGE)
    yield BadRequest("length: oversize, announced and not sent", announced(10**12, b""), TOO_LARGE)
    yield BadRequest("length: of 5,000 digits", announced("9" * 5000, b""), frozenset({400, 413}), parsed=False)
    yield BadRequest("length: chunked", chunked(whole), OPENED)
    tiny = [whole[at : at + 7] for at in range(0, len(whole), 7)]
    yield BadRequest("length: chunks of seven bytes", chunked(*tiny), OPENED)
    parts = [whole[:100], *[megabyte] * (limit // len(megabyte) + 1)]
    yield BadRequest("length: oversize, chunked", chunked(*parts), TOO_LARGE)
    yield BadRequest("length: chunks without an end", chunked(whole, end=b""), UNPARSED, half_close=True)
    for name, payload in (
        ("negative", announced(-1)),
        ("words", announced("many")),
        ("two", request(whole, headers=(kind, "Content-Length: 5", "Content-Length: 6"))),
        ("broken chunk", request(b"zz\r\nabc\r\n", headers=(kind, "Transfer-Encoding: chunked"))),
        ("chunk of 2^124", request(b"f" * 31 + b"\r\nabc", headers=(kind, "Transfer-Encoding: chunked"))),
        ("unknown coding", request(whole, headers=(kind, "Transfer-Encoding: gzip"))),
    ):
        yield BadRequest(f"length: {name}", payload, UNPARSED, parsed=False, half_close=True)


def _methods() -> Iterator[BadRequest]:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"):
        payload = request(method=method, headers=())
        yield BadRequest(f"method: {method} /predict", payload, WRONG_METHOD, method=method)
    yield BadRequest("method: BREW /predict, of no HTTP", request(method="BREW", headers=()), UNPARSED, parsed=False)
    for method in ("POST", "DELETE"):
        for target in ("/", "/model", "/web/app.js"):
            payload = request(method=method, target=target, headers=())
            yield BadRequest(f"method: {method} {target}", payload, WRONG_METHOD)
    for target in (
        "/nothing",
        "/predict/../model/x",
        "/web/",
        "/web/..%2f..%2fsettings.py",
        "/web/%2e%2e/cli.py",
        "/web/%00",
        "/web/" + "a" * 5000,
        "/%ff%fe",
        "//predict",
    ):
        payload = request(method="GET", target=target, headers=())
        yield BadRequest(f"target: {target[:40]}", payload, MISSING, method="GET")


def _parameters() -> Iterator[BadRequest]:
    whole = form(part(_cell()))
    for query, statuses in (
        ("explain=perhaps", DAMAGED),
        ("explain=", DAMAGED),
        ("explain=%00", DAMAGED),
        ("explain=false&explain=true", LENIENT),
        ("explain=false&language=de", DAMAGED),
        ("explain=false&language=EN", DAMAGED),
        ("explain=false&language=" + "e" * 20_000, DAMAGED),
        ("explain=false&language=%ff%fe", DAMAGED),
        ("explain=false&gradcam=magic", DAMAGED),
        ("explain=false&gradcam=keras", LENIENT),
        ("explain=false&layer=..%2f..%2fx", DAMAGED),
        ("explain=false&layer=", LENIENT),
        ("explain=false&layer=%0d%0aX-Injected:1", DAMAGED),
        ("explain=false&unknown=1", LENIENT),
        ("explain=false&" + "a=b&" * 5000, LENIENT),
        ("explain=false&%&=&&;", LENIENT),
    ):
        yield BadRequest(f"query: {query[:50]}", request(whole, target=f"/predict?{query}"), statuses)


def _broken() -> Iterator[BadRequest]:
    """Bytes that are no HTTP."""
    whole = request(form(part(_cell())))
    for name, payload in (
        ("noise", bytes(range(256)) * 4),
        ("TLS hello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200)),
        ("a target of other letters", request(method="GET", target="/web/\xff", headers=())),
        ("HTTP/0.9", b"GET /\r\n\r\n"),
        ("no host", b"POST /predict HTTP/1.1\r\n\r\n"),
        ("a header of 1 MiB", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n"),
        ("a header without a colon", whole.replace(b"Host: localhost", b"Host localhost")),
        ("a NUL in a header", whole.replace(b"localhost", b"local\0host")),
        ("a header of a blank line", whole.replace(b"Host: localhost", b"Host:\r\n \r\n localhost")),
        ("cut in the heads", whole[:40]),
        ("nothing", b""),
    ):
        yield BadRequest(f"no HTTP: {name}", payload, UNPARSED, parsed=False, half_close=True)
    http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield BadRequest("no HTTP: HTTP/2", http2, frozenset({400, 404, CLOSED}), parsed=False, half_close=True)
    many = "".join(f"X-{number}: a\r\n" for number in range(2000)).encode()
    heads = whole.replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + many)
    yield BadRequest("2,000 headers", heads, frozenset({200, 400}), parsed=False)
    request_id = request(form(part(_cell())), headers=(f"Content-Type: {FORM}", "X-Request-ID: " + "a" * 10_000))
    yield BadRequest("a request id of 10 kB", request_id, OPENED)
