"""TIFF, which holds more kinds of pixels than other formats: read exactly, or refused with what can be read."""

import io

import cv2
import numpy as np
import pytest
import tifffile

from tests.pipelines.sources.test_decode import H, W, decoded, deep_ramp, gradient, refusal


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_that_counts_from_white_is_no_negative(dtype: type) -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((H, W), np.iinfo(dtype).max, dtype), photometric="miniswhite")
    np.testing.assert_array_equal(decoded(out.getvalue()), 0)


def test_sixteen_bit_premultiplied_alpha_is_not_taken_for_plain_alpha() -> None:
    premultiplied = np.full((H, W, 4), 16384, np.uint16)  # white at a quarter
    out = io.BytesIO()
    tifffile.imwrite(out, premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_allclose(decoded(out.getvalue()), 1, atol=2 / 255)


def test_sixteen_bit_tiff_with_orientation_is_upright_and_precise() -> None:
    deep = gradient().astype(np.uint16) * 257 - gradient() // 2
    for orientation, upright in ((1, deep), (3, deep[::-1, ::-1]), (6, deep[::-1].transpose(1, 0, 2))):
        out = io.BytesIO()
        tifffile.imwrite(out, deep, photometric="rgb", extratags=[(0x0112, 3, 1, orientation, True)])
        np.testing.assert_allclose(decoded(out.getvalue()), upright / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((3, H, W), np.uint16), {"photometric": "rgb", "planarconfig": "separate"}, "plane by plane"),
        (np.zeros((H, W, 3), np.float32), {"photometric": "rgb"}, "8 or 16 bits"),
        (np.zeros((H, W), np.int8), {}, "signed values have no agreed black"),
        (np.zeros((H, W), np.int16), {}, "signed values have no agreed black"),
        (np.zeros((H, W), np.int32), {}, "signed values have no agreed black"),
        (np.zeros((H, W, 3), np.int16), {"photometric": "rgb"}, "8 or 16 bits a channel, unsigned"),
        (np.zeros((H, W), np.uint32), {}, "32-bit integer values have no agreed white"),
    ],
    ids=["planes", "floats", "signed bytes", "signed", "signed 32 bits", "signed colour", "32 bits"],
)
def test_kinds_of_pixels_that_cannot_be_read_are_refused_with_what_can(
    array: np.ndarray, options: dict[str, str], message: str
) -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    reason = refusal(out.getvalue())
    assert message in reason and "damaged" not in reason


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
def test_decoding_a_sound_file_prints_nothing(
    compression: str | None, dtype: type, capfd: pytest.CaptureFixture[str]
) -> None:
    level = cv2.utils.logging.getLogLevel()
    out = io.BytesIO()
    tifffile.imwrite(out, deep_ramp(3).astype(dtype), photometric="rgb", compression=compression)
    assert decoded(out.getvalue()).shape == (H, W, 3)
    assert capfd.readouterr() == ("", "") and cv2.utils.logging.getLogLevel() == level
