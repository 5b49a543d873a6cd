"""Classify the files of one request; a bad file does not affect the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import UploadFile

from wbc.errors import DeadlineExceeded, NotReady, Overloaded, WBCError
from wbc.schemas import ErrorAnswer, FileError, FilePrediction, Prediction

log = logging.getLogger("wbc.requests")


async def predict_files(
    files: Sequence[UploadFile], predict: Callable[[bytes], Awaitable[Prediction]], fan_out: int, request_id: str
) -> list[FilePrediction | FileError]:
    """Classify files; returns one result per file, in order.

    Args:
        files: the uploaded files.
        predict: classifies the bytes of one file.
        fan_out: maximum number of files in progress.
        request_id: request ID for the log.

    Raises:
        NotReady, Overloaded, DeadlineExceeded: the service, not a single file, is at fault.
    """
    free = asyncio.Semaphore(fan_out)

    async def predict_file(index: int, file: UploadFile) -> FilePrediction | FileError:
        async with free:
            try:
                return FilePrediction(index=index, prediction=await predict(await file.read()))
            except (NotReady, Overloaded, DeadlineExceeded):
                raise
            except WBCError as error:
                return FileError(index=index, error=ErrorAnswer.of(error))
            except Exception:  # an unexpected error must not affect the other files
                log.exception("batch file failed", extra={"fields": {"request_id": request_id, "index": index}})
                return FileError(
                    index=index, error=ErrorAnswer.of(WBCError("internal error on this file; see the log"))
                )

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(predict_file(index, file)) for index, file in enumerate(files)]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
