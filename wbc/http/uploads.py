"""A multipart body to the files in it, within limits."""

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
async def received(request: Request, *, max_files: int, max_bytes: int) -> AsyncIterator[list[UploadFile]]:
    """The files in the field `file`, in the order of the request; gone when the context closes.

    Files of more than 1 MiB lie on disk, in files without a name.

    Args:
        request: with its body not yet read.
        max_files: most files.
        max_bytes: of the whole body, announced or chunked.

    Raises:
        InvalidParameter: no multipart body, a malformed one, no file, text in the place of a file, or too many files.
        BodyTooLarge: more bytes than `max_bytes`.
    """
    content_type = request.headers.get("content-type", "")
    wanted = f"one file in the field '{FIELD}'" if max_files == 1 else f"1 to {max_files} files in the field '{FIELD}'"
    if not content_type.lower().startswith("multipart/form-data"):
        raise InvalidParameter(
            f"received {content_type[:200] or 'no content type'}; send multipart/form-data with {wanted} ({ACCEPTED})"
        )
    too_many = InvalidParameter(f"received more than {'one file' if max_files == 1 else max_files}; send {wanted}")
    # One file more than is accepted is read, to tell too many from a body that breaks off.
    parser = MultiPartParser(
        request.headers, _limited(request, max_bytes), max_files=max_files + 1, max_fields=MAX_OTHER_FIELDS
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if sum(isinstance(value, UploadFile) for _, value in parser.items) > max_files:
            raise too_many from error
        raise InvalidParameter(f"the multipart body is malformed: {error.message}") from error
    except (ValueError, KeyError, ClientDisconnect) as error:
        raise InvalidParameter(f"the multipart body is malformed or was cut off: {error}") from error
    try:
        values = form.getlist(FIELD)
        files = [value for value in values if isinstance(value, UploadFile)]
        if len(files) > max_files:
            raise too_many
        if not files or len(files) != len(values):
            fields = ", ".join(sorted(set(form.keys()))) or "none"
            raise InvalidParameter(
                f"received {len(values)} values of the field '{FIELD}' (fields: {fields[:200]}), text or files; "
                f"send {wanted} ({ACCEPTED})"
            )
        yield files
    finally:
        await form.close()


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    refusal = BodyTooLarge(f"the request body is larger than {max_bytes / 1048576:g} MiB, the most that is read")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise refusal
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > max_bytes:
            raise refusal
        yield chunk
