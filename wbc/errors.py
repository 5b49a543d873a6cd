"""Every error this package raises on purpose, with the HTTP status and the stable code it answers with.

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

A message says what was received and what is accepted.
"""

from __future__ import annotations

from typing import ClassVar


class WBCError(Exception):
    """Base of the tree; `str(error)` is fit to be shown to the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"


class InputError(WBCError):
    """The caller sent something that cannot be answered."""

    status = 400
    code = "invalid_request"


class InvalidParameter(InputError):
    """A parameter is missing, unknown or out of range."""

    code = "invalid_parameter"


class MalformedImage(InputError):
    """The bytes claim an accepted format and cannot be decoded as it."""

    code = "malformed_image"


class ImageTooLarge(InputError):
    """The image has more pixels than are decoded."""

    status = 413
    code = "image_too_large"


class BodyTooLarge(InputError):
    """The request has more bytes than are read."""

    status = 413
    code = "body_too_large"


class UploadTimeout(InputError):
    """The request's body did not arrive in time."""

    status = 408
    code = "upload_timeout"


class UnsupportedFormat(InputError):
    """The bytes are not of an accepted image format."""

    status = 415
    code = "unsupported_format"


class UnreadableFile(InputError):
    """A file on disk cannot be read."""

    code = "unreadable_file"


class Unauthorized(WBCError):
    """The service asks for a key, and the request has none or another one."""

    status = 401
    code = "unauthorized"


class Overloaded(WBCError):
    """More is being asked than can be answered in time; try again later."""

    status = 429
    code = "overloaded"


class NotReady(WBCError):
    """The service is starting or has lost a part of itself."""

    status = 503
    code = "not_ready"


class DeadlineExceeded(WBCError):
    """The answer was not found in time; the same request may succeed later."""

    status = 503
    code = "deadline_exceeded"


class ModelError(WBCError):
    """The model failed, or there is none."""

    code = "model_error"


class DeviceUnavailable(ModelError):
    """The device that was asked for is not here, or cannot run the graph."""

    code = "device_unavailable"


class BundleError(ModelError):
    """A model bundle cannot be used."""

    code = "bundle_error"


class BundleMissing(BundleError):
    """The bundle's folder or one of its files is not there."""

    code = "bundle_missing"


class BundleCorrupted(BundleError):
    """A file of the bundle does not have the hash, or the form, that the manifest promises."""

    code = "bundle_corrupted"


class BundleMismatch(BundleError):
    """The bundle is sound and does not fit this code: other labels, other preprocessing, other graph."""

    code = "bundle_mismatch"


class DataError(WBCError):
    """A data set on disk is not laid out as expected."""

    code = "data_error"


class ExportError(WBCError):
    """A trained model cannot be exported."""

    code = "export_error"


class ParityError(ExportError):
    """The exported graph does not compute what the Keras model computes."""

    code = "parity_error"
