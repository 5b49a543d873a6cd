"""Files that are no images, that are damaged, that lie about their size, and images that are merely odd.

All of them are made here, the same ones in every run; each says which statuses are right for it.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tests.drawn import drawn_cell
from wbc.images import MIN_SIDE

OPENED = frozenset({200})
DAMAGED = frozenset({400})
TOO_LARGE = frozenset({413})
UNKNOWN = frozenset({415})
LENIENT = frozenset({200, 400})
"""A viewer may open it or not."""
ANY = frozenset({200, 400, 413, 415})
"""Statuses of files with flipped bits: the effect is random, so each of these is correct."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")


@dataclass(frozen=True, slots=True)
class BadImage:
    """A file, its name in reports, and the correct statuses."""

    name: str
    data: bytes
    statuses: frozenset[int]


@lru_cache(maxsize=1)
def picture() -> NDArray[np.uint8]:
    """The drawn cell that is damaged, RGB uint8 (128, 128, 3)."""
    return drawn_cell("Neutrophil", np.random.default_rng(5), 128)


def saved(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """Encode an image in a format."""
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


@lru_cache(maxsize=1)
def bad_images() -> tuple[BadImage, ...]:
    """All of them."""
    makers = (_truncated, _flipped, _mistaken, _png_bombs, _other_bombs, _tiffs, _sizes, _modes, _oriented)
    return tuple(itertools.chain.from_iterable(maker() for maker in makers))


def _truncated() -> Iterator[BadImage]:
    for kind in FORMATS:
        data = saved(picture(), kind)
        for tenths in range(10):
            statuses = DAMAGED if tenths else UNKNOWN
            yield BadImage(f"{kind} cut at {tenths}/10", data[: len(data) * tenths // 10], statuses)


def _flipped() -> Iterator[BadImage]:
    for kind in FORMATS:
        data = np.frombuffer(saved(picture(), kind), np.uint8)
        for seed in range(10):
            rng = np.random.default_rng(seed)
            reach, count = (200, 2) if seed % 2 else (len(data), 24)  # the header, or anywhere
            flipped = data.copy()
            np.bitwise_xor.at(flipped, rng.integers(0, reach, count), 1 << rng.integers(0, 8, count).astype(np.uint8))
            yield BadImage(f"{kind} with flipped bits {seed}", flipped.tobytes(), ANY)


def _mistaken() -> Iterator[BadImage]:
    """Files of another kind; the names they are uploaded under always end in `.png`."""
    cell = Image.fromarray(picture())
    for kind in FORMATS:
        yield BadImage(f"{kind} under another ending", saved(cell, kind), OPENED)
    for kind in ("GIF", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "DDS", "EPS"):
        yield BadImage(f"{kind} image", saved(cell, kind), UNKNOWN)
    animated = saved(cell, "GIF", save_all=True, append_images=[cell.rotate(90)])
    yield BadImage("animated GIF", animated, UNKNOWN)
    jpeg, png = saved(cell, "JPEG"), saved(cell, "PNG")
    others = {
        "words": b"These are words, and no image.",
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64"/></svg>',
        "PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "ZIP": b"PK\3\4" + bytes(200),
        "gzip": b"\x1f\x8b\x08" + bytes(200),
        "ELF": b"\x7fELF" + bytes(200),
        "MP4": b"\0\0\0\x18ftypmp42" + bytes(200),
        "AVIF": b"\0\0\0\x1cftypavif" + bytes(200),
        "PSD": b"8BPS\0\1" + bytes(200),
        "zeros": bytes(4096),
        "RIFF that is a sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(200),
        "BigTIFF": b"II+\0\x08\0\0\0" + bytes(64),
        "GIF before a JPEG": b"GIF89a" + jpeg,
        "JPEG behind a blank": b" " + jpeg,
        "base64 of a JPEG": b"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ",
    }
    for name, data in others.items():
        yield BadImage(name, data, UNKNOWN)
    yield BadImage("noise", np.random.default_rng(0).bytes(4096), UNKNOWN)
    for name, signature in {
        "JPEG": b"\xff\xd8\xff\xe0",
        "PNG": b"\x89PNG\r\n\x1a\n",
        "BMP": b"BM",
        "little TIFF": b"II*\0",
        "big TIFF": b"MM\0*",
        "WebP": b"RIFF\x24\0\0\0WEBP",
    }.items():
        yield BadImage(f"{name} signature alone", signature, DAMAGED)
        yield BadImage(f"{name} signature before noise", signature + np.random.default_rng(1).bytes(600), DAMAGED)
    yield BadImage("JPEG before a ZIP", jpeg + b"PK\3\4" + bytes(200), OPENED)
    yield BadImage("PNG before a script", png + b"<script>alert(1)</script>", OPENED)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@lru_cache
def _deflated_zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def _png(
    width: int, height: int, rows: bytes | int, *extra: bytes, bits: int = 8, colour: int = 2, **header: int
) -> bytes:
    """Write a PNG by hand with any size, any `rows` or a number of zeros, and `extra` chunks before them."""
    ihdr = struct.pack(
        ">IIBBBBB",
        width,
        height,
        bits,
        colour,
        header.get("compression", 0),
        header.get("filter", 0),
        header.get("interlace", 0),
    )
    packed = _deflated_zeros(rows) if isinstance(rows, int) else zlib.compress(rows, 9)
    chunks = (_chunk(b"IHDR", ihdr), *extra, _chunk(b"IDAT", packed), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def black(height: int = 5000) -> bytes:
    """A black image, 8000 pixels wide; with the default height it has 40 megapixels, the most that is accepted."""
    return _png(8000, height, height * 1026, bits=1, colour=0)


def _png_bombs() -> Iterator[BadImage]:
    for width, height in ((20_000, 20_000), (65_535, 65_535), (2**31 - 1, 2**31 - 1), (16, 2**31 - 1), (8000, 5001)):
        yield BadImage(f"PNG that claims {width}x{height}", _png(width, height, bytes(4096)), TOO_LARGE)
    yield BadImage("PNG of width 2^32-1", _png(2**32 - 1, 16, bytes(64)), frozenset({400, 413}))
    yield BadImage("PNG of 0x0", _png(0, 0, b""), DAMAGED)
    yield BadImage("PNG of height 0", _png(64, 0, b""), DAMAGED)
    rows = bytes(64 * (1 + 3 * 64))
    yield BadImage("PNG of 40 black megapixels", black(), OPENED)
    yield BadImage("PNG of 41 black megapixels", _png(8200, 5000, 5000 * 1026, bits=1, colour=0), TOO_LARGE)
    yield BadImage("PNG whose rows inflate to 64 MiB", _png(64, 64, 64 << 20), LENIENT)
    yield BadImage("PNG with too few rows", _png(64, 64, rows[:1000]), DAMAGED)
    text = _deflated_zeros(64 << 20)
    for kind, body in {
        b"zTXt": b"Comment\0\0" + text,
        b"iTXt": b"Comment\0\1\0\0\0" + text,
        b"iCCP": b"profile\0\0" + text,
    }.items():
        yield BadImage(f"PNG whose {kind.decode()} inflates to 64 MiB", _png(64, 64, rows, _chunk(kind, body)), LENIENT)
    many = b"".join(_chunk(b"tEXt", b"k%d\0" % index + bytes(1000)) for index in range(5000))
    yield BadImage("PNG with 5,000 texts", _png(64, 64, rows, many), LENIENT)
    yield BadImage("PNG of unknown filter", _png(64, 64, b"\7" + rows[1:]), LENIENT)
    yield BadImage("PNG of 7 bits", _png(64, 64, rows, bits=7), DAMAGED)
    yield BadImage("PNG of colour type 9", _png(64, 64, rows, colour=9), DAMAGED)
    yield BadImage("PNG of compression 5", _png(64, 64, rows, compression=5), LENIENT)
    yield BadImage(
        "PNG with a palette too short", _png(64, 64, b"\xff" * len(rows), _chunk(b"PLTE", b"\0\0\0"), colour=3), LENIENT
    )
    yield BadImage("PNG with palette missing", _png(64, 64, bytes(64 * 65), colour=3), LENIENT)
    yield BadImage(
        "PNG with a wrong checksum", _png(64, 64, rows).replace(b"IHDR\0\0\0\x40", b"IHDR\0\0\0\x41"), DAMAGED
    )
    huge = struct.pack(">I", 2**31 - 1) + b"tEXt"
    yield BadImage("PNG with a chunk of 2 GiB", _png(64, 64, rows)[:33] + huge + bytes(64), DAMAGED)
    claims = _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield BadImage("APNG of two billion frames", _png(64, 64, rows, claims), LENIENT)


def _other_bombs() -> Iterator[BadImage]:
    jpeg = saved(picture(), "JPEG")
    size = jpeg.index(b"\xff\xc0") + 5  # height and width in the start of the frame
    for height, width in ((65_500, 65_500), (65_535, 1000)):
        yield BadImage(
            f"JPEG that claims {width}x{height}",
            jpeg[:size] + struct.pack(">HH", height, width) + jpeg[size + 4 :],
            TOO_LARGE,
        )
    yield BadImage("JPEG of height 0", jpeg[:size] + bytes(2) + jpeg[size + 2 :], DAMAGED)
    yield BadImage("JPEG of 7 components", jpeg[: size + 4] + b"\7" + jpeg[size + 5 :], DAMAGED)
    bmp = saved(picture(), "BMP")
    for name, at, value, statuses in (
        ("width 2^31-1", 18, 2**31 - 1, TOO_LARGE),
        ("width -64", 18, 2**32 - 64, ANY),
        ("height -2^31", 22, 2**31, TOO_LARGE),
        ("height 0", 22, 0, DAMAGED),
        ("data at 2^32-1", 10, 2**32 - 1, DAMAGED),
        ("header of 9 bytes", 14, 9, DAMAGED),
        ("compression 77", 30, 77, DAMAGED),
        ("run-length coding of nothing", 30, 1, DAMAGED),
        ("4 billion colours", 46, 2**32 - 1, ANY),
    ):
        yield BadImage(f"BMP: {name}", bmp[:at] + struct.pack("<I", value) + bmp[at + 4 :], statuses)
    animated = saved(Image.fromarray(picture()), "WEBP", save_all=True, append_images=[Image.new("RGB", (128, 128))])
    canvas = animated.index(b"VP8X") + 12
    wide = (16_383 - 1).to_bytes(3, "little") * 2
    yield BadImage(
        "WebP with a canvas of 16383x16383", animated[:canvas] + wide + animated[canvas + 6 :], frozenset({400, 413})
    )
    webp = saved(picture(), "WEBP")
    yield BadImage("WebP that claims 4 GiB", webp[:4] + b"\xff" * 4 + webp[8:], LENIENT)
    yield BadImage("WebP that claims nothing", webp[:4] + bytes(4) + webp[8:], DAMAGED)


SHORT, LONG, RATIONAL = 3, 4, 5
Tag = tuple[int, int, int, int]
"""Number, type, count, value or offset."""


def _tiff(changed: Sequence[Tag] = (), *, pixels: bytes = bytes(64 * 64), next_ifd: int = 0) -> bytes:
    """A grey TIFF of 64x64 made by hand, with tags replaced or added."""
    tags: dict[int, Tag] = {
        256: (256, LONG, 1, 64),
        257: (257, LONG, 1, 64),
        258: (258, SHORT, 1, 8),
        259: (259, SHORT, 1, 1),
        262: (262, SHORT, 1, 1),
        273: (273, LONG, 1, 8),
        277: (277, SHORT, 1, 1),
        278: (278, LONG, 1, 64),
        279: (279, LONG, 1, len(pixels)),
    }
    tags |= {tag[0]: tag for tag in changed}
    entries = b"".join(struct.pack("<HHII", *tags[number]) for number in sorted(tags))
    return (
        b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries
        + struct.pack("<I", next_ifd)
    )  # fmt: skip


def _tiffs() -> Iterator[BadImage]:
    yield BadImage("TIFF made by hand", _tiff(), OPENED)
    tiles: tuple[Tag, ...] = ((322, LONG, 1, 64), (323, LONG, 1, 64), (324, LONG, 1, 8), (325, LONG, 1, 4096))
    for name, changed, statuses in (
        ("2^31-1 wide", ((256, LONG, 1, 2**31 - 1),), TOO_LARGE),
        ("2^32-1 square", ((256, LONG, 1, 2**32 - 1), (257, LONG, 1, 2**32 - 1)), TOO_LARGE),
        ("width 0", ((256, LONG, 1, 0),), DAMAGED),
        ("65535 bits a sample", ((258, SHORT, 1, 65535),), DAMAGED),
        ("65535 samples a pixel", ((277, SHORT, 1, 65535),), DAMAGED),
        ("4 billion bits a sample entries", ((258, SHORT, 2**32 - 1, 8),), LENIENT),
        ("unknown compression", ((259, SHORT, 1, 31_337),), DAMAGED),
        ("JPEG compression of zeros", ((259, SHORT, 1, 7),), DAMAGED),
        ("LZW of zeros", ((259, SHORT, 1, 5),), LENIENT),
        ("deflate of zeros", ((259, SHORT, 1, 8),), DAMAGED),
        ("fax coding of zeros", ((259, SHORT, 1, 4), (258, SHORT, 1, 1)), LENIENT),
        ("strip past the end", ((273, LONG, 1, 2**31),), DAMAGED),
        ("strip of 4 GiB", ((279, LONG, 1, 2**32 - 1),), LENIENT),
        ("no rows a strip", ((278, LONG, 1, 0),), LENIENT),
        ("a billion strips", ((273, LONG, 10**9, 8), (279, LONG, 10**9, 8)), DAMAGED),
        ("tiles of 2^31", ((322, LONG, 1, 2**31 - 1), (323, LONG, 1, 2**31 - 1), *tiles[2:]), ANY),
        ("tiles of 0", ((322, LONG, 1, 0), (323, LONG, 1, 0), *tiles[2:]), LENIENT),
        ("tiles past the end", (*tiles[:2], (324, LONG, 1, 2**31), tiles[3]), LENIENT),
        ("tiles and strips", tiles, LENIENT),
        ("resolution over nothing", ((282, RATIONAL, 1, 16), (283, RATIONAL, 1, 16)), LENIENT),
        ("text past the end", ((270, 2, 2**31, 2**31),), LENIENT),
        ("type 99", ((270, 99, 1, 0),), LENIENT),
        ("orientation 99", ((274, SHORT, 1, 99),), OPENED),
        ("photometric 65535", ((262, SHORT, 1, 65535),), DAMAGED),
        ("palette missing", ((262, SHORT, 1, 3),), LENIENT),
        ("planes of 9", ((284, SHORT, 1, 9),), LENIENT),
        ("predictor 9", ((317, SHORT, 1, 9), (259, SHORT, 1, 5)), LENIENT),
    ):
        yield BadImage(f"TIFF: {name}", _tiff(changed), statuses)
    yield BadImage("TIFF whose next page is itself", _tiff(next_ifd=8 + 64 * 64), OPENED)
    yield BadImage("TIFF whose next page is outside", _tiff(next_ifd=2**31), OPENED)
    yield BadImage("TIFF of 65535 tags", b"II*\0\x08\0\0\0\xff\xff" + bytes(65535 * 12), DAMAGED)
    yield BadImage("TIFF whose directory is outside", b"II*\0\xff\xff\xff\x7f" + bytes(64), DAMAGED)
    bomb = _deflated_zeros(64 << 20)
    inflating = _tiff(((259, SHORT, 1, 8), (279, LONG, 1, len(bomb))), pixels=bomb)
    yield BadImage("TIFF whose strip inflates to 64 MiB", inflating, LENIENT)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        data = bytearray(saved(picture(), "TIFF", compression=compression))
        data[1000:1400] = np.random.default_rng(2).bytes(400)
        yield BadImage(f"TIFF of damaged {compression}", bytes(data), LENIENT)


def _sizes() -> Iterator[BadImage]:
    for kind in FORMATS:
        yield BadImage(f"{kind} of 1x1", saved(picture()[:1, :1], kind), DAMAGED)
    yield BadImage("one row short", saved(picture()[: MIN_SIDE - 1, :64], "PNG"), DAMAGED)
    yield BadImage("just large enough", saved(picture()[:MIN_SIDE, :MIN_SIDE], "PNG"), OPENED)
    for width, height in ((16, 20_000), (20_000, 16), (60_000, 16)):
        strip = np.full((height, width, 3), 230, np.uint8)
        for kind in ("PNG", "JPEG"):
            yield BadImage(f"{kind} of {width}x{height}", saved(strip, kind), OPENED)


def _modes() -> Iterator[BadImage]:
    cell = Image.fromarray(picture())
    grey = picture()[..., 1]
    floats = grey.astype(np.float32)
    clear = cell.convert("RGBA")
    clear.putalpha(0)
    images: dict[str, bytes] = {
        "CMYK JPEG": saved(cell.convert("CMYK"), "JPEG"),
        "CMYK TIFF": saved(cell.convert("CMYK"), "TIFF"),
        "grey JPEG": saved(cell.convert("L"), "JPEG"),
        "one-bit PNG": saved(cell.convert("1"), "PNG"),
        "one-bit TIFF of fax coding": saved(cell.convert("1"), "TIFF", compression="group4"),
        "16-bit grey PNG": _by_opencv(grey.astype(np.uint16) * 257, ".png"),
        "16-bit RGB PNG": _by_opencv(picture().astype(np.uint16) * 257, ".png"),
        "16-bit grey TIFF": _by_opencv(grey.astype(np.uint16) * 257, ".tiff"),
        "16-bit RGB TIFF": _by_opencv(picture().astype(np.uint16) * 257, ".tiff"),
        "palette PNG with transparency": saved(cell.quantize(16), "PNG", transparency=3),
        "palette PNG with an alpha for each colour": saved(cell.quantize(16), "PNG", transparency=bytes(range(16))),
        "grey PNG with alpha": saved(cell.convert("LA"), "PNG"),
        "RGBA PNG": saved(cell.convert("RGBA"), "PNG"),
        "RGBA TIFF": saved(cell.convert("RGBA"), "TIFF"),
        "RGBA WebP": saved(cell.convert("RGBA"), "WEBP"),
        "transparent PNG": saved(clear, "PNG"),
        "float TIFF from 0 to 1": saved(floats / 255, "TIFF"),
        "float TIFF from 0 to 255": saved(floats, "TIFF"),
        "negative float TIFF": saved(-floats, "TIFF"),
        "32-bit integer TIFF": saved(grey.astype(np.int32) * 257, "TIFF"),
        "TIFF of three pages": saved(cell, "TIFF", save_all=True, append_images=[cell, cell]),
        "tiled TIFF": saved(cell, "TIFF", tile=(64, 64)),
        "animated WebP": saved(cell, "WEBP", save_all=True, append_images=[cell.rotate(90)], duration=100),
        "animated PNG": saved(cell, "PNG", save_all=True, append_images=[cell.rotate(90)]),
        "progressive JPEG": saved(cell, "JPEG", progressive=True),
        "black": saved(np.zeros_like(picture()), "PNG"),
        "white": saved(np.full_like(picture(), 255), "PNG"),
        "static": saved(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8), "PNG"),
    }
    for name, data in images.items():
        yield BadImage(name, data, OPENED)
    yield BadImage("float TIFF of 1e30", saved(floats * np.float32(1e30), "TIFF"), DAMAGED)
    for name, value in (("not a number", np.nan), ("infinite", np.inf)):
        spoiled = floats.copy()
        spoiled[3, 3] = value
        yield BadImage(f"float TIFF with a sample that is {name}", saved(spoiled, "TIFF"), DAMAGED)
    for mode in ("LAB", "YCbCr"):
        yield BadImage(f"{mode} TIFF", saved(Image.new(mode, (64, 64)), "TIFF"), LENIENT)


def _by_opencv(pixels: NDArray[Any], suffix: str) -> bytes:
    """Encode RGB with 16-bit samples, which Pillow cannot write."""
    done, data = cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    assert done
    return bytes(data)


def _oriented() -> Iterator[BadImage]:
    cell = Image.fromarray(picture())
    for orientation in (0, 3, 5, 6, 8, 9, 65_535):
        exif = Image.Exif()
        exif[274] = orientation
        for kind in ("JPEG", "PNG"):
            yield BadImage(f"{kind} of orientation {orientation}", saved(cell, kind, exif=exif), OPENED)
    noise = np.random.default_rng(4).bytes(400)
    blobs = {
        "empty": b"Exif\0\0",
        "noise": b"Exif\0\0" + noise,
        "cut short": b"Exif\0\0II*\0\x08\0\0\0\x09\0",
        "a directory that holds itself": b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 34665, LONG, 1, 8),
        "an orientation of a gigabyte": b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, SHORT, 2**30, 8),
    }
    for name, blob in blobs.items():
        yield BadImage(f"JPEG with EXIF: {name}", saved(cell, "JPEG", exif=blob), OPENED)
    yield BadImage("JPEG with a broken colour profile", saved(cell, "JPEG", icc_profile=noise), OPENED)
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("XML:com.adobe.xmp", '<x tiff:Orientation="6"><!ENTITY a "&a;&a;">')
    yield BadImage("PNG with a broken XMP", saved(cell, "PNG", pnginfo=remarks), OPENED)
