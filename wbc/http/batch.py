"""Many files in one request: a bad one fails alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import UploadFile

from wbc.errors import DeadlineExceeded, NotReady, Overloaded, WBCError
from wbc.http.responses import error_answer
from wbc.schemas import FileError, FilePrediction, Prediction

log = logging.getLogger("wbc.requests")

FileResult = FilePrediction | FileError


async def answer_each(
    files: Sequence[UploadFile], ask: Callable[[bytes], Awaitable[Prediction]], fan_out: int, request_id: str
) -> list[FileResult]:
    """One result a file, in order.

    Args:
        files: what was uploaded.
        ask: answers on the bytes of one.
        fan_out: files that are read and asked about at once.
        request_id: for the log.

    Raises:
        NotReady, Overloaded, DeadlineExceeded: the trouble is the service's and not one file's.
    """
    free = asyncio.Semaphore(fan_out)

    async def one(index: int, file: UploadFile) -> FileResult:
        async with free:
            try:
                return FilePrediction(index=index, prediction=await ask(await file.read()))
            except (NotReady, Overloaded, DeadlineExceeded):
                raise
            except WBCError as error:
                return FileError(index=index, error=error_answer(error))
            except Exception:  # whatever one file does to the code, the others are answered
                fields = {"request_id": request_id, "index": index}
                log.exception("a file of a batch failed", extra={"fields": fields})
                failure = WBCError("the service failed on this file; the log says how")
                return FileError(index=index, error=error_answer(failure))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index, file)) for index, file in enumerate(files)]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
