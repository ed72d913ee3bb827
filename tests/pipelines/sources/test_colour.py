"""Pictures keep the colours that their files mean, whatever the colour space of the file."""

import io
import struct
import sys
import zlib
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from pipelines.sources.colour import Colours
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.source import RefusedPicture

PAPER = (236, 230, 214)
RED_IN_P3 = (202, 59, 51)  # sRGB (220, 40, 40), under sRGB's own curve
RED_IN_P3_PROFILE = (201, 62, 54)  # the same, under the power of 2.2 of the profile below


def flat(colour: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (32, 24), colour if len(colour) > 1 else colour[0])


def stored(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def seen(data: bytes) -> list[float]:
    """The picture's colour of 0 to 255."""
    middle: list[float] = (decode(data, max_pixels=MAX_PIXELS)[12, 16] * 255).tolist()
    return middle


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks right after its header."""
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return png[:33] + more + png[33:]


def fixed(*values: float) -> bytes:
    """Numbers in ICC's fixed-point format s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def matrix_profile(
    to_xyz_d50: NDArray[np.float64], gamma: float, space: bytes = b"RGB ", description: str = "made for a test"
) -> bytes:
    """An ICC profile (version 2) of three primaries, or of one grey, and a power."""

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    if space == b"GRAY":
        return profile_of({b"kTRC": curve}, b"mntr", space, b"XYZ ", description)
    tags = {
        name: b"XYZ " + bytes(4) + fixed(*column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz_d50.T, strict=True)
    }
    return profile_of(
        {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}, b"mntr", space, b"XYZ ", description
    )  # fmt: skip


def profile_of(
    tags: dict[bytes, bytes], kind: bytes, space: bytes, connection: bytes, description: str = "made for a test"
) -> bytes:  # fmt: skip
    """An ICC profile with these tags, and those that every profile has."""
    text = description.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    rest = struct.pack(">I", len(tags)) + table + body
    head = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", head, 0, 128 + len(rest), b"lcms", 0x02400000, kind, space, connection)
    head[36:40], head[68:80] = b"acsp", fixed(0.9642, 1.0, 0.8249)
    return bytes(head) + rest


DISPLAY_P3 = matrix_profile(
    np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]), 2.2
)
ADOBE_RGB = matrix_profile(
    np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]), 2.19922
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_wide_gamut_profile_is_applied_in_every_format(kind: str) -> None:
    data = stored(flat(RED_IN_P3_PROFILE), kind, icc_profile=DISPLAY_P3, quality=98)
    np.testing.assert_allclose(seen(data), (220, 40, 40), atol=6)


def test_adobe_rgb_is_applied_whether_by_profile_or_by_exif_alone() -> None:
    values = (150, 170, 60)
    by_profile = seen(stored(flat(values), icc_profile=ADOBE_RGB))
    assert by_profile[0] < 145 and by_profile[1] == pytest.approx(170, abs=3)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03"}
    np.testing.assert_allclose(seen(stored(flat(values), "JPEG", exif=exif, quality=98)), by_profile, atol=3)


def test_an_srgb_profile_changes_no_value() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    data = stored(Image.fromarray(noise), icc_profile=profile)
    np.testing.assert_array_equal(decode(data, max_pixels=MAX_PIXELS), noise / np.float32(255))


def test_a_linear_profile_is_applied_though_its_primaries_are_srgb_s() -> None:
    srgb_d50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    profile = matrix_profile(srgb_d50, 1.0, description="sRGB linear")
    np.testing.assert_allclose(seen(stored(flat((55, 55, 55)), icc_profile=profile)), 128, atol=2)


def test_a_grey_profile_is_applied_to_eight_and_sixteen_bits() -> None:
    linear = matrix_profile(np.eye(3), 1.0, b"GRAY")
    np.testing.assert_allclose(seen(stored(flat((55,), "L"), icc_profile=linear)), 128, atol=2)
    deep = Image.fromarray(np.full((24, 32), 55 * 257 + 100, np.uint16))
    np.testing.assert_allclose(seen(stored(deep, icc_profile=linear)), 128, atol=2)


def test_sixteen_bits_keep_their_steps_under_a_profile() -> None:
    ramp = np.linspace(20000, 24000, 32 * 24).reshape(24, 32).astype(np.uint16)
    gamma = matrix_profile(np.eye(3), 2.0, b"GRAY")
    shades = decode(stored(Image.fromarray(ramp), icc_profile=gamma), max_pixels=MAX_PIXELS)[..., 0].ravel()
    assert len(np.unique(shades)) > 700  # 8 bits would leave 16


def ink_profile(magenta_and_yellow: tuple[int, int, int]) -> bytes:
    """An ICC profile of a press: paper is white, black ink is black, magenta on yellow has this CIE L*, a*, b*."""
    colours = np.zeros((2, 2, 2, 2, 3), np.uint8)  # by cyan, magenta, yellow, black
    for inks in np.ndindex(2, 2, 2, 2):
        lightness, a, b = magenta_and_yellow if inks == (0, 1, 1, 0) else (0 if inks[3] else 100 - 20 * sum(inks), 0, 0)
        colours[inks] = round(lightness * 2.55), a + 128, b + 128
    identity = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + 4 * ramp + colours.tobytes() + 3 * ramp
    return profile_of({b"A2B0": table}, b"prtr", b"CMYK", b"Lab ")


def test_ink_colours_are_shown_by_their_profile_where_there_is_one() -> None:
    inks = flat((0, 255, 255, 0), "CMYK")
    np.testing.assert_allclose(seen(stored(inks, "TIFF")), (255, 0, 0), atol=1)
    grey_press = ink_profile((50, 0, 0))
    for kind in ("TIFF", "JPEG"):
        np.testing.assert_allclose(seen(stored(inks, kind, icc_profile=grey_press, quality=98)), 119, atol=4)
    # A profile of another kind of colours is passed over.
    np.testing.assert_allclose(seen(stored(inks, "TIFF", icc_profile=DISPLAY_P3)), (255, 0, 0), atol=1)
    np.testing.assert_allclose(seen(stored(flat(PAPER), icc_profile=grey_press)), PAPER, atol=0.01)


def test_transparency_is_left_as_it_is_by_a_profile() -> None:
    data = stored(flat((*RED_IN_P3_PROFILE, 128), "RGBA"), icc_profile=DISPLAY_P3)
    np.testing.assert_allclose(seen(data), [255 - (255 - value) * 128 / 255 for value in (220, 40, 40)], atol=4)


def test_what_is_transparent_shows_the_ground() -> None:
    data = stored(flat((0, 0, 0, 0), "RGBA"))
    ground = (0.82, 0.76, 0.66)
    np.testing.assert_allclose(decode(data, max_pixels=MAX_PIXELS, ground=ground)[5, 5], ground, atol=1e-6)


@pytest.mark.parametrize("profile", [b"", b"nonsense", DISPLAY_P3[:200], DISPLAY_P3[:128] + bytes(400)])
def test_a_damaged_profile_spoils_no_picture(profile: bytes) -> None:
    data = stored(flat(PAPER), "JPEG", icc_profile=profile, quality=98)
    np.testing.assert_allclose(seen(data), PAPER, atol=3)


def test_gamma_and_primaries_of_png_are_applied_unless_it_says_srgb() -> None:
    linear, srgb = (b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")
    p3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    grey = stored(flat((55, 55, 55)))
    np.testing.assert_allclose(seen(with_chunks(grey, linear)), 128, atol=1)
    np.testing.assert_allclose(seen(with_chunks(grey, linear, srgb)), 55, atol=0.01)
    np.testing.assert_allclose(seen(with_chunks(stored(flat(RED_IN_P3)), p3)), (220, 40, 40), atol=3)
    usual = (b"gAMA", struct.pack(">I", 45455))
    np.testing.assert_allclose(seen(with_chunks(grey, usual)), 55, atol=0.01)


@pytest.mark.parametrize(
    "chunk",
    [(b"gAMA", bytes(4)), (b"gAMA", b"\xff" * 4), (b"cHRM", bytes(32)), (b"cHRM", b"\xff" * 32), (b"cICP", b"\1")],
)
def test_nonsense_about_colours_is_passed_over(chunk: tuple[bytes, bytes]) -> None:
    np.testing.assert_allclose(seen(with_chunks(stored(flat(PAPER)), chunk)), PAPER, atol=0.01)


def test_code_points_of_png_are_applied_before_its_profile() -> None:
    p3 = with_chunks(stored(flat(RED_IN_P3)), (b"cICP", bytes((12, 13, 0, 1))))
    np.testing.assert_allclose(seen(p3), (220, 40, 40), atol=3)
    both = with_chunks(stored(flat(RED_IN_P3), icc_profile=ADOBE_RGB), (b"cICP", bytes((12, 13, 0, 1))))
    np.testing.assert_allclose(seen(both), (220, 40, 40), atol=3)
    hlg = with_chunks(stored(flat((182, 182, 182))), (b"cICP", bytes((9, 18, 0, 1))))
    np.testing.assert_allclose(seen(hlg), 236, atol=4)


def test_code_points_of_avif_are_applied() -> None:
    data = stored(flat(RED_IN_P3), "AVIF", quality=100, icc_profile=b"")
    assert b"colrnclx" in data
    box = data.index(b"colrnclx") + 8
    p3 = data[:box] + struct.pack(">HH", 12, 13) + data[box + 4 :]
    np.testing.assert_allclose(seen(p3), (220, 40, 40), atol=6)


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_keeps_paper_and_rolls_off_what_is_brighter(transfer: int) -> None:
    """Paper of 84 % of white, as BT.2408 codes it; from black to the brightest, brighter stays brighter."""
    signal = {16: 0.5637, 18: 0.7152}[transfer]
    colours = Colours.of_codes(9, transfer)
    paper = colours.to_srgb(np.full((1, 1, 3), signal, np.float32))
    np.testing.assert_allclose(paper * 255, 236, atol=4)
    ramp = colours.to_srgb(np.repeat(np.linspace(0, 1, 50, dtype=np.float32)[None, :, None], 3, axis=2))[0, :, 0]
    assert ramp[0] == 0 and ramp.max() <= 1 and np.isfinite(ramp).all()
    assert all(one <= other + 1e-6 for one, other in pairwise(ramp.tolist()))


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"tEXt"])
def test_large_texts_in_a_png_are_no_reason_to_refuse_it(name: bytes) -> None:
    text = bytes(3 << 20)
    body = {
        b"zTXt": b"Comment\0\0" + zlib.compress(text),
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text),
        b"tEXt": b"Comment\0" + b"x" * (3 << 20),
    }[name]
    data = stored(flat(PAPER))
    first = with_chunks(data, (name, body))
    chunk = first[33 : len(first) - len(data) + 33]
    for large in (first, data[:-12] + chunk + data[-12:]):
        np.testing.assert_allclose(seen(large), PAPER, atol=0.01)


def test_a_large_profile_in_a_png_is_applied() -> None:
    large = bytearray(DISPLAY_P3 + bytes(3 << 20))
    large[:4] = struct.pack(">I", len(large))
    np.testing.assert_allclose(seen(stored(flat(RED_IN_P3_PROFILE), icc_profile=bytes(large))), (220, 40, 40), atol=4)


def test_orientation_in_a_text_of_a_png_still_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = b"\nexif\n%8d\n" % len(raw) + raw.hex().encode() + b"\n"
    data = with_chunks(stored(flat(PAPER)), (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    assert decode(data, max_pixels=MAX_PIXELS).shape == (32, 24, 3)


def test_heic_without_its_extra_is_refused_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brand in (b"heic", b"heix", b"mif1"):
        with pytest.raises(RefusedPicture, match=r"pip install 'process-painter\[heic\]'"):
            decode(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100), max_pixels=MAX_PIXELS)
