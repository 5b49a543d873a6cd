"""Decode and encode images, within limits. No other module handles image formats and channel orders."""

from __future__ import annotations

import io
import threading
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wbc.errors import ImageTooLarge, InputError, MalformedImage, UnsupportedFormat
from wbc.settings import settings

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""Accepted formats, by their names in Pillow."""

ACCEPTED = "JPG, PNG, BMP, TIFF and WebP images are accepted"
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
"""Extensions of the accepted formats, in lower case."""

SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")
"""First bytes of files of these formats, except WebP."""

DAMAGE = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, MemoryError)
"""Exceptions that Pillow raises for damaged files; SyntaxError stands for a broken PNG or TIFF."""

FAST_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
"""PNG encoder settings: run-length encoding after a fixed filter, the fastest that keeps images of cells small."""

MIN_SIDE = 16
"""Minimum width and height in pixels; a smaller picture does not show a cell."""


def decode(data: bytes, *, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Decode one image, or the first frame of several.

    The format is detected from the bytes, not from a file name. Orientation tags are applied, transparency is composed
    over white (the background of a bright field), CMYK and palettes are converted, 16-bit samples are scaled to 8 bits.

    Args:
        data: bytes of the file.
        max_pixels: maximum width x height, checked in the header before any pixel is decoded; None takes
            `Settings.max_pixels`.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous.

    Raises:
        UnsupportedFormat: empty, or not of an accepted format.
        ImageTooLarge: more pixels than `max_pixels`.
        MalformedImage: of an accepted format, but damaged, truncated or smaller than 16 pixels.
    """
    limit = settings().max_pixels if max_pixels is None else max_pixels
    if not data:
        raise UnsupportedFormat(f"received an empty file; {ACCEPTED}")
    with _without_warnings:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(*image.size, limit)
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image))
        except UnidentifiedImageError:
            if _has_signature(data):
                raise MalformedImage(f"the image is damaged, truncated or of a rare kind; {ACCEPTED}") from None
            raise UnsupportedFormat(f"received {len(data)} bytes of another format; {ACCEPTED}") from None
        except InputError:
            raise
        except Image.DecompressionBombError as error:  # Pillow checks first and does not report width and height
            raise ImageTooLarge(f"more than 178 megapixels; at most {limit / 1e6:g} megapixels are decoded") from error
        except DAMAGE as error:
            raise MalformedImage(f"the image is damaged or truncated ({error}); {ACCEPTED}") from error


class _WithoutWarnings:
    """Context manager that suppresses warnings while any thread decodes.

    The limit on pixels is stricter than the one Pillow warns of, and damaged metadata with intact pixels is not an
    error. `warnings.catch_warnings` restores the state it found: of two overlapping threads, the last one would restore
    "ignore", and the process would never warn again.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._before.__exit__(None, None, None)


_without_warnings = _WithoutWarnings()


def _has_signature(data: bytes) -> bool:
    """Return true if the bytes begin like an accepted format, even if they end too early for Pillow to detect it."""
    return data.startswith(SIGNATURES) or (data.startswith(b"RIFF") and b"WEBP".startswith(data[8:12]))


def _check_size(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ImageTooLarge(f"{width}x{height} pixels; at most {limit / 1e6:g} megapixels are decoded")
    if min(width, height) < MIN_SIDE:
        raise MalformedImage(f"{width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are required")


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        samples = np.asarray(image, np.float64)
        if not np.isfinite(samples).all():
            raise MalformedImage("the image has samples that are not finite")
        # 16-bit integers use their whole range, float TIFFs a range of 0 to 1 or of 0 to 255.
        top = 65535.0 if image.mode != "F" else (1.0 if samples.max() <= 1.0 else 255.0)
        grey = np.clip(np.rint(samples * (255.0 / top)), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layered)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an RGB (H, W, 3) or grey (H, W) uint8 picture as PNG without metadata."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", bgr, FAST_PNG)[1].tobytes()


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode an RGB uint8 (H, W, 3) picture as JPEG without metadata."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=quality)
    return out.getvalue()
