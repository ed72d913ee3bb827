import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.source import RefusedPicture

H, W = 40, 56


def gradient() -> np.ndarray:
    """(H, W, 3) uint8, smooth, with four different corners, so that a rotation is detected."""
    y, x = np.mgrid[0:H, 0:W]
    return np.stack([x * 255 // (W - 1), y * 255 // (H - 1), 255 - (x + y) * 200 // (W + H)], axis=-1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Decode, and check all that `decode` promises of every picture."""
    rgb = decode(data, max_pixels=MAX_PIXELS)
    assert rgb.dtype == np.float32 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.flags.c_contiguous
    assert rgb.min() >= 0 and rgb.max() <= 1
    return rgb


def refusal(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(RefusedPicture) as caught:
        decode(data, max_pixels=max_pixels)
    reason = str(caught.value)
    assert reason and "\n" not in reason
    return reason


def png(
    width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2, extra: tuple[bytes, bytes] = (b"", b"")
) -> bytes:
    """A PNG written without Pillow, for variants that Pillow cannot write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + (chunk(*extra) if extra[0] else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def rows(array: np.ndarray) -> bytes:
    """Filter byte and big-endian samples of each row."""
    big = array.astype(">u2") if array.dtype == np.uint16 else array
    return b"".join(b"\0" + row.tobytes() for row in big)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_files_give_their_exact_values(kind: str) -> None:
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(gradient()), kind)), gradient() / np.float32(255))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_files_give_nearly_their_values(kind: str) -> None:
    rgb = decoded(saved(Image.fromarray(gradient()), kind, quality=95))
    assert np.abs(rgb - gradient() / 255).mean() < 0.01


def test_grey_has_three_equal_channels() -> None:
    rgb = decoded(saved(Image.fromarray(gradient()[..., 0]), "PNG"))
    np.testing.assert_array_equal(rgb, np.stack([gradient()[..., 0] / np.float32(255)] * 3, -1))


def test_cmyk_jpeg_keeps_its_colours_and_is_not_inverted() -> None:
    data = saved(Image.new("CMYK", (W, H), (0, 255, 255, 0)), "JPEG", quality=95)  # Pillow writes Adobe's inverted kind
    assert b"Adobe" in data
    np.testing.assert_allclose(decoded(data).mean((0, 1)), (1, 0, 0), atol=0.03)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    """What was turned by the inverse and marked with the orientation comes out upright."""
    upright = Image.fromarray(gradient())
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # a viewer has to turn it 90 degrees clockwise
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decoded(saved(stored, kind, exif=exif, quality=95))
    assert rgb.shape == (H, W, 3)
    assert np.abs(rgb - gradient() / 255).max() < 0.1


def test_damaged_exif_does_not_spoil_a_picture() -> None:
    orientation_as_words = b"MM\0*" + struct.pack(">IHHHI4sI", 8, 1, 0x0112, 2, 4, b"abc\0", 0)
    offset_into_nowhere = b"MM\0*\xff\xff\xff\xff"
    for exif in (orientation_as_words, offset_into_nowhere):
        data = saved(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + exif, quality=95)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow says that it is damaged
            assert np.abs(decoded(data) - gradient() / 255).mean() < 0.01


def test_transparency_lies_over_white() -> None:
    rgba = np.zeros((H, W, 4), np.uint8)
    rgba[:, W // 2 :, 3] = 128
    rgb = decoded(saved(Image.fromarray(rgba, "RGBA"), "PNG"))
    np.testing.assert_allclose(rgb[:, : W // 2], 1)
    np.testing.assert_allclose(rgb[:, W // 2 :], 1 - 128 / 255, atol=1e-6)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(kind: str) -> None:
    image = Image.new("P", (W, H), 1)
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    image.paste(0, (0, 0, W // 2, H))
    rgb = decoded(saved(image, kind, transparency=0))
    np.testing.assert_array_equal(rgb[:, 0], np.ones((H, 3)))
    np.testing.assert_array_equal(rgb[:, -1], np.broadcast_to((0, 0, 1), (H, 3)))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_colour_is_white(mode: str) -> None:
    black = Image.new(mode, (W, H), 0)
    data = saved(black, "PNG", transparency=0 if mode == "L" else (0, 0, 0))
    np.testing.assert_array_equal(decoded(data), np.ones((H, W, 3)))


@pytest.mark.parametrize(("bits", "colour", "value", "other"), [(2, 0, 1, 2), (4, 0, 5, 3), (16, 2, 0x1234, 0x1235)])
def test_a_transparent_value_of_any_depth_is_white(bits: int, colour: int, value: int, other: int) -> None:
    samples = 1 if colour == 0 else 3
    row = "".join(f"{number:0{bits}b}" * samples for number in [value] * 16 + [other] * 16)
    lines = (b"\0" + int(row, 2).to_bytes(len(row) // 8, "big")) * 16
    rgb = decoded(png(32, 16, lines, bits=bits, colour=colour, extra=(b"tRNS", struct.pack(">H", value) * samples)))
    np.testing.assert_array_equal(rgb[:, :16], 1)
    np.testing.assert_allclose(rgb[:, 16:], other / (2**bits - 1), atol=1e-6)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (W, H), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        rgb = decoded(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
        np.testing.assert_allclose(rgb.mean((0, 1)), (1, 0, 0), atol=0.02)


def deep_ramp(channels: int) -> np.ndarray:
    """(H, W, channels) uint16 whose neighbours differ by less than one 8-bit level."""
    ramp = 30000 + np.arange(H * W, dtype=np.uint16).reshape(H, W) % 251
    return np.stack([ramp + 1000 * channel for channel in range(channels)], -1).astype(np.uint16)


def test_sixteen_bit_grey_keeps_its_precision() -> None:
    grey = deep_ramp(1)[..., 0]
    for kind in ("PNG", "TIFF"):
        rgb = decoded(saved(Image.fromarray(grey), kind))
        np.testing.assert_array_equal(rgb[..., 1], grey.astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_keeps_its_precision(suffix: str) -> None:
    deep = deep_ramp(3)
    data = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
    np.testing.assert_allclose(decoded(data), deep / np.float32(65535), atol=1e-6)


def test_sixteen_bit_transparency_lies_over_white() -> None:
    deep = deep_ramp(4)
    deep[..., 3] = 16384
    rgb = decoded(cv2.imencode(".png", cv2.cvtColor(deep, cv2.COLOR_RGBA2BGRA))[1].tobytes())
    alpha = 16384 / 65535
    np.testing.assert_allclose(rgb, deep[..., :3] / 65535 * alpha + 1 - alpha, atol=1e-6)


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    grey = np.full((H, W), 1000, np.uint16)
    grey[:, W // 2 :] = 30000
    data = png(W, H, rows(grey), bits=16, colour=0, extra=(b"tRNS", struct.pack(">H", 1000)))
    rgb = decoded(data)
    np.testing.assert_array_equal(rgb[:, 0], np.ones((H, 3)))
    np.testing.assert_allclose(rgb[:, -1], 30000 / 65535, atol=1e-6)


def test_empty_file_is_refused() -> None:
    assert "empty" in refusal(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html>404 not found</html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"%PDF-1.7\n",
        b"8BPS\0\1" + bytes(40),
    ],
    ids=["html", "eps", "pdf", "psd"],
)
def test_what_is_no_raster_picture_is_refused_by_name(data: bytes) -> None:
    assert "not a picture of a known format" in refusal(data)


def test_heic_is_refused_with_advice() -> None:
    assert "export it as JPEG" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_truncated_files_are_refused_or_have_lost_no_pixel(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    whole = decoded(data)
    for length in (*range(1, len(data), len(data) // 40), *range(len(data) - 24, len(data))):
        if length < 0.99 * len(data):
            assert "not a picture" in (reason := refusal(data[:length])) or "truncated" in reason
        else:  # only the end mark is missing
            try:
                np.testing.assert_array_equal(decoded(data[:length]), whole)
            except RefusedPicture as refused:
                assert "truncated" in str(refused)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_truncated_sixteen_bit_files_are_refused(suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65535, (96, 128, 3), np.uint16)
    data = cv2.imencode(suffix, deep)[1].tobytes()
    assert "truncated" in refusal(data[: len(data) // 2])


def test_bytes_flipped_at_random_are_decoded_or_refused_and_nothing_else() -> None:
    dice = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        whole = np.frombuffer(saved(Image.fromarray(gradient()), kind), np.uint8)
        for _ in range(60):
            data = whole.copy()
            data[dice.integers(0, min(len(data), 400), 4)] = dice.integers(0, 256, 4)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    decoded(data.tobytes())
                except RefusedPicture as refused:
                    assert str(refused)


@pytest.mark.parametrize("size", [(15, 200), (200, 15), (1, 1)])
def test_tiny_pictures_are_refused(size: tuple[int, int]) -> None:
    assert f"{size[0]}x{size[1]} px is too small" in refusal(saved(Image.new("RGB", size), "PNG"))


def test_sixteen_pixels_are_enough() -> None:
    assert decoded(saved(Image.new("RGB", (16, 16)), "PNG")).shape == (16, 16, 3)


def test_bomb_is_refused_by_its_header_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded the pixels of a bomb")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    assert "50000x50000 px is more than max_pixels" in refusal(png(50000, 50000, b""))


def test_max_pixels_is_exact() -> None:
    data = saved(Image.new("RGB", (20, 20)), "PNG")
    assert decode(data, max_pixels=400).shape == (20, 20, 3)
    assert "20x20 px is more than max_pixels=399" in refusal(data, max_pixels=399)


def test_large_pictures_leak_no_warning_and_leave_pillow_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "truncated" in refusal(png(10000, 10000, b""))  # Pillow warns from 89 million on
        assert "max_pixels" in refusal(png(50000, 50000, b""))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (7.5, "outside 0 to 1")]
)
def test_unpaintable_floats_are_refused(value: float, message: str) -> None:
    grey = np.full((H, W), 0.5, np.float32)
    grey[3, 4] = value
    assert message in refusal(saved(Image.fromarray(grey), "TIFF"))


def test_floats_in_range_are_taken_as_they_are() -> None:
    grey = np.linspace(0, 1, H * W, dtype=np.float32).reshape(H, W)
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(grey), "TIFF"))[..., 2], grey)
