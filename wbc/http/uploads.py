"""Parse the files of a multipart body, within limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from wbc.errors import BodyTooLarge, InvalidParameter
from wbc.images import ACCEPTED

FIELD = "file"
MAX_OTHER_FIELDS = 16


@asynccontextmanager
async def parse_uploads(request: Request, *, max_files: int, max_bytes: int) -> AsyncIterator[list[UploadFile]]:
    """Parse the files in the field `file`, in order; they are deleted when the context closes.

    Files of more than 1 MiB are kept in unnamed files on disk.

    Args:
        request: request whose body has not been read.
        max_files: maximum number of files.
        max_bytes: maximum size of the whole body, with or without `Content-Length`.

    Raises:
        InvalidParameter: the body is not multipart, is malformed, or has no file, text instead of a file, or too many.
        BodyTooLarge: the body has more than `max_bytes`.
    """
    content_type = request.headers.get("content-type", "")
    wanted = f"one file in the field '{FIELD}'" if max_files == 1 else f"1 to {max_files} files in the field '{FIELD}'"
    if not content_type.lower().startswith("multipart/form-data"):
        raise InvalidParameter(
            f"received content type {content_type[:200] or 'none'}; send multipart/form-data with {wanted} ({ACCEPTED})"
        )
    too_many = InvalidParameter(f"received more than {'one file' if max_files == 1 else max_files}; send {wanted}")
    # One more file than accepted is parsed, to distinguish too many files from a truncated body.
    parser = MultiPartParser(
        request.headers, _limit_stream(request, max_bytes), max_files=max_files + 1, max_fields=MAX_OTHER_FIELDS
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if sum(isinstance(value, UploadFile) for _, value in parser.items) > max_files:
            raise too_many from error
        raise InvalidParameter(f"the multipart body is malformed: {error.message}") from error
    except (ValueError, KeyError, ClientDisconnect) as error:
        raise InvalidParameter(f"the multipart body is malformed or truncated: {error}") from error
    try:
        values = form.getlist(FIELD)
        files = [value for value in values if isinstance(value, UploadFile)]
        if len(files) > max_files:
            raise too_many
        if not files or len(files) != len(values):
            fields = ", ".join(sorted(set(form.keys()))) or "none"
            raise InvalidParameter(
                f"received {len(files)} files and {len(values) - len(files)} text values in the field '{FIELD}' "
                f"(all fields: {fields[:200]}); send {wanted} ({ACCEPTED})"
            )
        yield files
    finally:
        await form.close()


async def _limit_stream(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    refusal = BodyTooLarge(f"the request body is too large; at most {max_bytes / 1048576:g} MiB are accepted")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise refusal
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > max_bytes:
            raise refusal
        yield chunk
