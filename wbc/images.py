"""Decode and encode images, within limits. No other module handles image formats and channel orders."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from wbc.errors import ImageTooLarge, InputError, MalformedImage, UnsupportedFormat
from wbc.settings import settings

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""Accepted formats, by their names in Pillow."""

ACCEPTED = "JPG, PNG, BMP, TIFF and WebP images are accepted"
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
"""Extensions of the accepted formats, in lower case."""

SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")
"""First bytes of files of these formats, except WebP."""

ORIENTATION, PHOTOMETRIC, BITS = 0x0112, 262, 258
"""Tags of EXIF and TIFF that are read; all other metadata is ignored."""

TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: np.fliplr,
    3: lambda rgb: np.rot90(rgb, 2),
    4: np.flipud,
    5: lambda rgb: rgb.transpose(1, 0, 2),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: np.rot90(rgb, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""Transformation of each value of the orientation tag; other values mean none."""

MAX_SCANS = 100
"""Maximum number of scans of a JPEG: each costs time to decode, and a file of a few kilobytes can have thousands."""

STRIP = 1 << 20
"""Pixels that are converted at once, to bound the memory."""

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

    The format is detected from the bytes, not from a file name. The orientation tag is applied, transparency is
    composed over white (the background of a bright field), CMYK, palettes and embedded RGB profiles are converted to
    sRGB, 16-bit samples are scaled to 8 bits. A BMP whose alpha is 0 everywhere has no alpha.

    Args:
        data: bytes of the file.
        max_pixels: maximum width x height, checked in the header before any pixel is decoded; None takes
            `Settings.max_pixels`.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous.

    Raises:
        UnsupportedFormat: empty, or not of an accepted format.
        ImageTooLarge: more pixels than `max_pixels`.
        MalformedImage: of an accepted format, but damaged, truncated or smaller than 16 pixels, with more scans than
            `MAX_SCANS`, or with samples that do not use the range of their type.
    """
    limit = settings().max_pixels if max_pixels is None else max_pixels
    if not data:
        raise UnsupportedFormat(f"received an empty file; {ACCEPTED}")
    if data.startswith(b"\xff\xd8") and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise MalformedImage(f"the JPEG has {scans} scans; at most {MAX_SCANS} are decoded")
    with _without_warnings:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(*image.size, limit)
                image.load()
                turn = TURNS.get(_orientation(image))
                rgb = _to_rgb(image)
                return rgb if turn is None else np.ascontiguousarray(turn(rgb))
        except UnidentifiedImageError:
            if _has_signature(data):
                raise MalformedImage(f"the image is damaged, truncated or of a rare kind; {ACCEPTED}") from None
            raise UnsupportedFormat(f"received {len(data)} bytes of another format; {ACCEPTED}") from None
        except InputError:
            raise
        except Image.DecompressionBombError as error:  # Pillow checks first and does not report width and height
            raise ImageTooLarge(f"more than 178 megapixels; at most {limit / 1e6:g} megapixels are decoded") from error
        except Exception as error:  # decoders raise nearly every type for a damaged file
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


def _orientation(image: Image.Image) -> int:
    """Return the value of the orientation tag; 0 if there is none or the metadata cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 0))
    except Exception:  # noqa: BLE001 - metadata never decides whether a picture is accepted
        return 0


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_samples(image, inverted=tags.get(PHOTOMETRIC) == 0)
    if image.mode == "RGBA" and image.format == "BMP" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")
    image = _to_srgb(image)
    transparent = image.has_transparency_data
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        if transparent:
            layered = strip.convert("RGBA")
            white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
            rgb[rows] = np.asarray(Image.alpha_composite(white, layered).convert("RGB"))
        else:
            rgb[rows] = np.asarray(strip.convert("RGB"))
    if not transparent and max(tags.get(BITS, (8,))) == 16:  # the decoder keeps the upper 8 of 16 bits
        _check_range(256 * float(rgb.max()) + 255)
    return rgb


def _from_samples(image: Image.Image, *, inverted: bool) -> NDArray[np.uint8]:
    """Convert grey samples of 16 or 32 bits or floats; inverted ones are 0 for white."""
    whole, lowest, highest = image.mode != "F", np.inf, -np.inf
    for _, strip in _strips(image):
        samples = np.asarray(strip)
        if not np.isfinite(samples).all():
            raise MalformedImage("the image has samples that are not finite")
        lowest, highest = min(lowest, float(samples.min())), max(highest, float(samples.max()))
    if whole:
        _check_range(65535 - lowest if inverted else highest)
    elif 1.0 < highest < 128.0 or highest > 255.0:
        raise MalformedImage(f"the float samples reach {highest:g}; ranges of 0 to 1 and of 0 to 255 are accepted")
    # 16-bit integers use their whole range, float TIFFs a range of 0 to 1 or of 0 to 255.
    scale = 255.0 / (65535.0 if whole else 1.0 if highest <= 1.0 else 255.0)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for rows, strip in _strips(image):
        grey = np.clip(np.rint(np.asarray(strip, np.float64) * scale), 0, 255)
        rgb[rows] = (255 - grey if inverted else grey).astype(np.uint8)[..., None]
    return rgb


def _check_range(highest: float) -> None:
    """Refuse samples of 16 bits that use at most 14 of them, and larger ones: their range is not known."""
    if highest > 65535:
        raise MalformedImage(f"the samples reach {highest:.0f}; at most 65535 is accepted")
    if 0 < (bits := int(highest).bit_length()) <= 14:
        raise MalformedImage(f"the samples use {bits} of 16 bits; scale them to 16 bits, or save the image with 8")


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from an embedded RGB profile; an unreadable profile is ignored."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB" or "srgb" in (source.profile.profile_description or "").lower():
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=image.mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return image if converted is None else converted


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield the image in strips of about `STRIP` pixels, with the rows of each."""
    height = max(1, STRIP // image.width)
    for top in range(0, image.height, height):
        bottom = min(top + height, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an RGB (H, W, 3) or grey (H, W) uint8 picture as PNG without metadata."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", bgr, FAST_PNG)[1].tobytes()


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode an RGB uint8 (H, W, 3) picture as JPEG without metadata."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=quality)
    return out.getvalue()
