"""All errors that this package raises, with their HTTP status and stable code.

    WBCError                      500  internal_error
    ├── InputError                400  invalid_request
    │   ├── InvalidParameter      400  invalid_parameter
    │   ├── MalformedImage        400  malformed_image
    │   ├── ImageTooLarge         413  image_too_large
    │   ├── BodyTooLarge          413  body_too_large
    │   ├── UploadTimeout         408  upload_timeout
    │   ├── UnreadableFile        400  unreadable_file
    │   └── UnsupportedFormat     415  unsupported_format
    ├── Unauthorized              401  unauthorized
    ├── Overloaded                429  overloaded
    ├── NotReady                  503  not_ready
    ├── DeadlineExceeded          503  deadline_exceeded
    ├── ModelError                500  model_error
    │   ├── DeviceUnavailable     500  device_unavailable
    │   └── BundleError           500  bundle_error
    │       ├── BundleMissing     500  bundle_missing
    │       ├── BundleCorrupted   500  bundle_corrupted
    │       └── BundleMismatch    500  bundle_mismatch
    ├── DataError                 500  data_error
    └── ExportError               500  export_error
        └── ParityError           500  parity_error

A message says what is wrong, what was received and what is accepted.
"""

from __future__ import annotations

import re
from typing import ClassVar


class WBCError(Exception):
    """Base of all errors; `str(error)` can be shown to the caller.

    A subclass inherits its status unless it names another one; its code is its name in snake case.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None) -> None:
        super().__init_subclass__()
        cls.code = code or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        if status is not None:
            cls.status = status


class InputError(WBCError, status=400, code="invalid_request"):
    """The request or the file cannot be processed."""


class InvalidParameter(InputError):
    """A parameter is missing, unknown or out of range."""


class MalformedImage(InputError):
    """The bytes are of an accepted format but cannot be decoded."""


class ImageTooLarge(InputError, status=413):
    """The image has too many pixels."""


class BodyTooLarge(InputError, status=413):
    """The request body has too many bytes."""


class UploadTimeout(InputError, status=408):
    """The request body did not arrive in time."""


class UnreadableFile(InputError):
    """A file on disk cannot be read."""


class UnsupportedFormat(InputError, status=415):
    """The bytes are not of an accepted image format."""


class Unauthorized(WBCError, status=401):
    """The API key is missing or wrong."""


class Overloaded(WBCError, status=429):
    """Too many requests are in progress; try again later."""


class NotReady(WBCError, status=503):
    """The service is starting or has lost one of its parts."""


class DeadlineExceeded(WBCError, status=503):
    """The request took too long; repeating it later may succeed."""


class ModelError(WBCError):
    """The model failed or is missing."""


class DeviceUnavailable(ModelError):
    """The requested device is missing or cannot run the graph."""


class BundleError(ModelError):
    """A model bundle cannot be used."""


class BundleMissing(BundleError):
    """The folder of the bundle or one of its files does not exist."""


class BundleCorrupted(BundleError):
    """A file of the bundle differs from its hash or cannot be parsed."""


class BundleMismatch(BundleError):
    """The bundle is intact but does not fit this code: other labels, preprocessing or graph."""


class DataError(WBCError):
    """A data set on disk is not laid out as expected."""


class ExportError(WBCError):
    """A trained model cannot be exported."""


class ParityError(ExportError):
    """The exported graph does not compute the same as the Keras model."""
