"""Bytes to pixels: every accepted format to the pixel, and every kind of bad input to its own error."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from wbc.errors import ImageTooLarge, InputError, MalformedImage, UnsupportedFormat
from wbc.images import ACCEPTED, MIN_SIDE, decode, encode_jpeg, encode_png

TURNED = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a, -1), 8: np.rot90}
"""Transformation of each EXIF orientation in an image viewer."""


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Smooth RGB image, 40x60, with a different colour in each corner, to reveal swapped channels and rotations."""
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, 255 - rows * 3 - columns * 2], axis=-1).astype(np.uint8)


def saved(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def by_opencv(pixels: NDArray[Any], suffix: str) -> bytes:
    """Encode RGB with OpenCV, for files that Pillow cannot write: 16 bits or floats in several channels."""
    done, data = cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    assert done
    return bytes(data)


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG made by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


class TestAccepted:
    @pytest.mark.parametrize(
        ("kind", "options"),
        [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
    )
    def test_lossless_formats_to_the_byte(self, picture: NDArray[np.uint8], kind: str, options: dict[str, Any]) -> None:
        decoded = decode(saved(picture, kind, **options))
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, picture)

    @pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
    def test_lossy_formats_closely(self, picture: NDArray[np.uint8], kind: str) -> None:
        difference = np.abs(decode(saved(picture, kind, quality=95)).astype(int) - picture)
        assert difference.mean() < 2  # smooth, so that only quantisation remains

    def test_name_plays_no_part_and_bytes_do(self, picture: NDArray[np.uint8]) -> None:
        assert decode(saved(picture, "BMP")).shape == (40, 60, 3)

    def test_own_encoders(self, picture: NDArray[np.uint8]) -> None:
        np.testing.assert_array_equal(decode(encode_png(picture)), picture)
        assert np.abs(decode(encode_jpeg(picture, quality=95)).astype(int) - picture).mean() < 2
        grey = picture[..., 0]
        np.testing.assert_array_equal(decode(encode_png(grey)), np.dstack([grey] * 3))

    def test_own_encoders_write_no_metadata(self, picture: NDArray[np.uint8]) -> None:
        for data in (encode_png(picture), encode_jpeg(picture)):
            with Image.open(io.BytesIO(data)) as image:
                assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


class TestConverted:
    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    @pytest.mark.parametrize("colour", [(200, 120, 60), (255, 255, 255), (0, 0, 0)])
    def test_cmyk(self, kind: str, colour: tuple[int, int, int]) -> None:
        image = Image.new("RGB", (32, 32), colour).convert("CMYK")
        decoded = decode(saved(image, kind))
        assert np.abs(decoded.astype(int) - colour).max() <= 3  # an inverted plate would be off by a hundred and more

    @pytest.mark.parametrize("suffix", [".tiff", ".png"])
    def test_16_bit_grey_uses_the_whole_range(self, suffix: str) -> None:
        samples = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)
        decoded = decode(by_opencv(samples, suffix))
        assert decoded.shape == (32, 48, 3)
        np.testing.assert_array_equal(decoded[..., 0], np.rint(samples / 257.0))
        assert (decoded[..., 0] == decoded[..., 1]).all()
        assert (decoded[..., 0] == decoded[..., 2]).all()

    @pytest.mark.parametrize("suffix", [".tiff", ".png"])
    def test_16_bit_rgb(self, picture: NDArray[np.uint8], suffix: str) -> None:
        decoded = decode(by_opencv(picture.astype(np.uint16) * 257, suffix))
        np.testing.assert_array_equal(decoded, picture)

    def test_grey_png(self, picture: NDArray[np.uint8]) -> None:
        grey = picture[..., 1]
        np.testing.assert_array_equal(decode(saved(grey, "PNG")), np.dstack([grey] * 3))

    def test_one_bit_png(self) -> None:
        bits = np.tile([[0, 1], [1, 1]], (16, 16)).astype(bool)
        np.testing.assert_array_equal(decode(saved(bits, "PNG"))[..., 0], bits * 255)

    def test_palette_png(self) -> None:
        image = Image.new("P", (32, 32), 1)
        image.putpalette([0, 0, 0, 10, 120, 230])
        assert (decode(saved(image, "PNG")) == (10, 120, 230)).all()

    def test_ycbcr_tiff(self) -> None:
        decoded = decode(saved(Image.new("RGB", (32, 32), (200, 12, 128)), "TIFF", compression="jpeg"))
        assert np.abs(decoded.astype(int) - (200, 12, 128)).max() <= 3

    @pytest.mark.parametrize(("top", "level"), [(1.0, 0.5), (255.0, 127.5)])
    def test_float_tiff_from_0_to_1_and_from_0_to_255(self, top: float, level: float) -> None:
        samples = np.full((32, 32), level, np.float32)
        samples[0] = top
        decoded = decode(saved(samples, "TIFF"))
        assert (decoded[0] == 255).all()
        assert (decoded[1:] == 128).all()

    def test_float_tiff_that_is_no_number(self) -> None:
        samples = np.full((32, 32), 0.5, np.float32)
        samples[3, 3] = np.nan
        with pytest.raises(MalformedImage, match="not finite"):
            decode(saved(samples, "TIFF"))

    @pytest.mark.parametrize("top", [94.0, 300.0, 65535.0])
    def test_floats_of_another_range_are_refused(self, top: float) -> None:
        with pytest.raises(MalformedImage, match=rf"float samples reach {top:g}; ranges of 0 to 1 and of 0 to 255"):
            decode(saved(np.full((32, 32), top, np.float32), "TIFF"))

    @pytest.mark.parametrize("bits", [8, 10, 12, 14])
    def test_samples_that_do_not_use_16_bits_are_refused(self, picture: NDArray[np.uint8], bits: int) -> None:
        samples = (picture.astype(np.uint16) * 257) >> (16 - bits)
        for pixels in (samples, samples[..., 0]):
            with pytest.raises(MalformedImage, match=r"the samples use \d+ of 16 bits; scale them to 16 bits, or save"):
                decode(by_opencv(pixels, ".tiff"))

    def test_integers_of_32_bits(self, picture: NDArray[np.uint8]) -> None:
        grey = picture[..., 1].astype(np.int32)
        np.testing.assert_array_equal(decode(saved(Image.fromarray(grey * 257), "TIFF"))[..., 0], grey)
        with pytest.raises(MalformedImage, match="at most 65535 is accepted"):
            decode(saved(Image.fromarray(grey * 100_000), "TIFF"))

    def test_16_bit_grey_with_0_for_white(self, picture: NDArray[np.uint8]) -> None:
        grey = picture[..., 1].astype(np.uint16)
        inverted = saved(Image.fromarray(65535 - grey * 257), "TIFF", tiffinfo={262: 0})
        np.testing.assert_array_equal(decode(inverted)[..., 0], grey)

    def test_an_embedded_profile_is_converted(self, picture: NDArray[np.uint8]) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        renamed = profile.replace(b"s\0R\0G\0B", b"o\0t\0h\0r").replace(b"\0s\0R\0G\0B", b"\0o\0t\0h\0r")
        swapped = renamed.replace(b"rXYZ", b"xXYZ").replace(b"gXYZ", b"rXYZ").replace(b"xXYZ", b"gXYZ")
        decoded = decode(saved(picture, "PNG", icc_profile=swapped))
        assert np.abs(decoded.astype(int) - picture[..., [1, 0, 2]]).mean() < 3
        np.testing.assert_array_equal(decode(saved(picture, "PNG", icc_profile=profile)), picture)
        np.testing.assert_array_equal(decode(saved(picture, "PNG", icc_profile=b"no profile")), picture)

    def test_float_rgb_tiff_is_of_a_rare_kind(self, picture: NDArray[np.uint8]) -> None:
        with pytest.raises(MalformedImage, match="rare kind"):
            decode(by_opencv(picture.astype(np.float32) / 255.0, ".tiff"))


class TestTransparency:
    """Clear glass is white in a bright field."""

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
    @pytest.mark.parametrize(("alpha", "seen"), [(255, (100, 0, 50)), (128, (177, 127, 152)), (0, (255, 255, 255))])
    def test_alpha_is_laid_over_white(self, kind: str, alpha: int, seen: tuple[int, int, int]) -> None:
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        decoded = decode(saved(Image.new("RGBA", (32, 32), (100, 0, 50, alpha)), kind, **options))
        assert np.abs(decoded.astype(int) - seen).max() <= 1

    def test_grey_with_alpha(self) -> None:
        assert (decode(saved(Image.new("LA", (32, 32), (0, 0)), "PNG")) == 255).all()

    def test_16_bit_with_alpha(self) -> None:
        pixels = np.zeros((32, 32, 4), np.uint16)
        pixels[..., 3] = 32768
        done, data = cv2.imencode(".png", pixels)
        assert done
        assert np.abs(decode(bytes(data)).astype(int) - 127).max() <= 1

    def test_a_bmp_without_any_opaque_pixel_has_no_alpha(self, picture: NDArray[np.uint8]) -> None:
        clear = np.dstack([picture[..., ::-1], np.zeros(picture.shape[:2], np.uint8)])
        header = struct.pack("<IiiHHIIiiII", 108, 60, -40, 1, 32, 3, clear.nbytes, 0, 0, 0, 0)
        header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"sRGB" + bytes(48)
        data = b"BM" + struct.pack("<IHHI", 14 + len(header) + clear.nbytes, 0, 0, 14 + len(header)) + header
        np.testing.assert_array_equal(decode(data + clear.tobytes()), picture)

    def test_clear_colour_of_a_palette(self) -> None:
        image = Image.new("P", (32, 32), 1)
        image.putpalette([0, 0, 0, 10, 20, 30])
        assert (decode(saved(image, "PNG", transparency=1)) == 255).all()

    def test_clear_colour_of_rgb(self) -> None:
        image = Image.new("RGB", (32, 32), (1, 2, 3))
        image.putpixel((5, 5), (9, 9, 9))
        decoded = decode(saved(image, "PNG", transparency=(1, 2, 3)))
        assert tuple(decoded[5, 5]) == (9, 9, 9)
        assert (decoded[6:] == 255).all()


class TestOrientation:
    @pytest.mark.parametrize("orientation", TURNED)
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
    def test_photo_is_turned_upright_once(self, picture: NDArray[np.uint8], kind: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options: dict[str, Any] = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif}
        if kind == "WEBP":
            options["lossless"] = True
        decoded, expected = decode(saved(picture, kind, **options)), TURNED[orientation](picture)
        assert decoded.shape == expected.shape
        assert decoded.flags.c_contiguous
        assert np.abs(decoded.astype(int) - expected).mean() < (4 if kind == "JPEG" else 1e-9)

    @pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff words", b"Exif\0\0words", b"words"])
    def test_damaged_metadata_beside_sound_pixels_is_no_error(self, picture: NDArray[np.uint8], exif: bytes) -> None:
        assert decode(saved(picture, "JPEG", exif=exif)).shape == (40, 60, 3)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize(
        "entry",
        [
            pytest.param(struct.pack("<HHII", 0x011A, 10, 1, 38), id="signed resolution"),
            pytest.param(struct.pack("<HHI4s", 0x0100, 2, 4, b"wide"), id="width as text"),
            pytest.param(struct.pack("<HHIf", 0x010F, 11, 1, 1.5), id="maker as float"),
            pytest.param(struct.pack("<HHIf", 0x011A, 11, 1, float("nan")), id="resolution not a number"),
        ],
    )
    def test_odd_metadata_beside_an_orientation(self, picture: NDArray[np.uint8], kind: str, entry: bytes) -> None:
        turned = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        block = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + b"".join(sorted((entry, turned))) + bytes(4)
        exif = b"Exif\0\0" + block + struct.pack("<ii", -1, 0)
        assert decode(saved(picture, kind, exif=exif)).shape == (60, 40, 3)

    def test_orientation_that_does_not_exist(self, picture: NDArray[np.uint8]) -> None:
        exif = Image.Exif()
        exif[0x0112] = 99
        np.testing.assert_array_equal(decode(saved(picture, "PNG", exif=exif)), picture)


class TestFrames:
    @pytest.mark.parametrize("kind", ["WEBP", "TIFF", "PNG"])
    def test_first_frame_of_several(self, kind: str) -> None:
        red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
        options = {"lossless": True} if kind == "WEBP" else {}
        assert (decode(saved(red, kind, save_all=True, append_images=[blue], **options)) == (255, 0, 0)).all()


class TestUnsupported:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"This is a note and no image.\n" * 40, id="text"),
            pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
            pytest.param(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", id="pdf"),
            pytest.param(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", id="wave"),
            pytest.param(bytes(1000), id="zeros"),
            pytest.param(b"\xff", id="one byte"),
        ],
    )
    def test_bytes_that_are_no_image(self, data: bytes) -> None:
        with pytest.raises(UnsupportedFormat) as caught:
            decode(data)
        assert str(caught.value) == f"received {len(data)} bytes of another format; {ACCEPTED}"

    @pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO", "TGA", "JPEG2000"])
    def test_images_of_another_format(self, picture: NDArray[np.uint8], kind: str) -> None:
        with pytest.raises(UnsupportedFormat, match="another format"):
            decode(saved(picture, kind))

    def test_moving_gif(self) -> None:
        red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
        with pytest.raises(UnsupportedFormat, match="another format"):
            decode(saved(red, "GIF", save_all=True, append_images=[blue]))

    def test_nothing(self) -> None:
        with pytest.raises(UnsupportedFormat, match=r"empty file; JPG, PNG, BMP, TIFF and WebP images are accepted"):
            decode(b"")


class TestTooLarge:
    def test_a_few_kilobytes_of_400_megapixels_are_refused_from_the_header(self) -> None:
        data = png(20_000, 20_000, 1, 0, bytes(2501) * 20_000)
        assert len(data) < 60_000
        tracemalloc.start()
        started = time.perf_counter()
        with pytest.raises(ImageTooLarge, match=r"megapixels; at most 40 megapixels are decoded"):
            decode(data)
        took, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000  # decoded it would be 1.2 GB
        assert took < 1

    def test_below_the_limit_of_pillow_and_above_ours(self) -> None:
        with pytest.raises(ImageTooLarge, match=r"^9000x9000 pixels; at most 40 megapixels are decoded$"):
            decode(png(9000, 9000, 1, 0, bytes(1126) * 9000))

    def test_header_alone_is_enough(self) -> None:
        with pytest.raises(ImageTooLarge):
            decode(png(7000, 7000, 8, 2, b""))

    def test_limit_is_the_number_of_pixels(self, picture: NDArray[np.uint8]) -> None:
        data = saved(picture, "PNG")
        assert decode(data, max_pixels=2400).shape == (40, 60, 3)
        with pytest.raises(ImageTooLarge, match=r"^40x60 pixels|^60x40 pixels"):
            decode(data, max_pixels=2399)

    @pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF", "WEBP"])
    def test_every_format_is_measured(self, picture: NDArray[np.uint8], kind: str) -> None:
        with pytest.raises(ImageTooLarge):
            decode(saved(picture, kind), max_pixels=100)


class TestDamaged:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
    @pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
    def test_cut_off(self, kind: str, kept: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        data = saved(noise, kind)
        with pytest.raises(MalformedImage, match="damaged"):
            decode(data[: int(len(data) * kept)])

    @pytest.mark.parametrize("length", [3, 10, 20, 100, 300, 623, 700, -200, -20])
    def test_jpeg_cut_off_anywhere(self, picture: NDArray[np.uint8], length: int) -> None:
        with pytest.raises(MalformedImage) as caught:
            decode(saved(picture, "JPEG")[:length])
        assert str(caught.value).endswith(ACCEPTED)

    @pytest.mark.parametrize(
        ("kind", "length"), [("PNG", 8), ("PNG", 33), ("BMP", 14), ("TIFF", 10), ("WEBP", 10), ("WEBP", 14)]
    )
    def test_cut_off_within_the_header(self, picture: NDArray[np.uint8], kind: str, length: int) -> None:
        with pytest.raises(MalformedImage):
            decode(saved(picture, kind)[:length])

    @pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE - 1, 200), (200, MIN_SIDE - 1)])
    def test_too_small_to_hold_a_cell(self, size: tuple[int, int]) -> None:
        with pytest.raises(MalformedImage, match=rf"^{size[0]}x{size[1]} pixels; at least 16x16 are required$"):
            decode(saved(Image.new("RGB", size), "PNG"))

    def test_smallest_that_is_taken(self) -> None:
        assert decode(saved(Image.new("RGB", (MIN_SIDE, MIN_SIDE)), "PNG")).shape == (16, 16, 3)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
    def test_whatever_the_bytes_the_error_is_ours(self, picture: NDArray[np.uint8], kind: str) -> None:
        rng, data = np.random.default_rng(1), saved(picture, kind)
        for _ in range(150):
            broken = bytearray(data)
            for at in rng.integers(0, min(len(data), 400), rng.integers(1, 6)):
                broken[at] = rng.integers(0, 256)
            with contextlib.suppress(InputError):
                assert decode(bytes(broken), max_pixels=1_000_000).dtype == np.uint8


def test_decoding_in_threads_leaves_warnings_as_they_were(picture: NDArray[np.uint8]) -> None:
    before, data = list(warnings.filters), saved(picture, "JPEG")
    with ThreadPoolExecutor(8) as pool:
        shapes = set(pool.map(lambda _: decode(data).shape, range(200)))
    assert shapes == {(40, 60, 3)}
    assert list(warnings.filters) == before


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(picture: NDArray[np.uint8]) -> None:
    data = saved(picture, "JPEG", progressive=True)
    assert decode(data).shape == (40, 60, 3)
    scan = data[data.rindex(b"\xff\xda") : -2]
    started = time.perf_counter()
    with pytest.raises(MalformedImage, match=r"has \d+ scans; at most 100 are decoded"):
        decode(data[:-2] + 10_000 * scan + data[-2:])
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("mode", ["I;16", "F", "RGBA"])
def test_memory_of_large_pictures(mode: str) -> None:
    """The arrays of a conversion stay below the picture, its result and a strip."""
    side, bytes_per_pixel = 3000, {"I;16": 2, "F": 4, "RGBA": 4}[mode]
    image = Image.new(mode, (side, side), {"I;16": 60_000, "F": 200.0, "RGBA": (200, 100, 50, 255)}[mode])
    data = saved(image, "TIFF", compression="tiff_lzw")
    tracemalloc.start()
    decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * side * side * (3 + bytes_per_pixel)
