"""decode_file against tf.io, format by format, and its errors."""

import io
import os
import re
import socket
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from cervix_tf.data import fingerprints, headers, walk
from cervix_tf.data.images import check_files, decode, decode_file
from cervix_tf.errors import InputError

_SMALL_CMYK = {256: 4, 257: 4, 258: 8, 262: 5}


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, stream, bits=8, colors=2, before=b"", interlaced=0):
    """A PNG of whole and rightly checksummed chunks, whatever they hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colors, 0, 0, interlaced))
    return headers.PNG + header + before + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def pillow(pixels, form, mode="RGB", **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    (image if image.mode == mode else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def encoded(suffix, pixels, *options):
    done, data = cv2.imencode(suffix, pixels, options)
    assert done
    return data.tobytes()


@pytest.fixture(scope="module")
def photo(picture):
    rng = np.random.default_rng(0)
    noise = rng.integers(-20, 21, (61, 83, 3))
    return np.clip(picture(0, 61, 83) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_jpeg_pixels_are_bit_for_bit_those_of_tf_io(photo, quality, progressive, sampling):
    data = encoded(
        ".jpg",
        photo,
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_PROGRESSIVE, progressive),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")),
    )
    expected = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(decode(data, "x"), expected)


def test_png_and_bmp_pixels_are_those_of_tf_io(photo):
    np.testing.assert_array_equal(decode(encoded(".png", photo), "x"), tf.io.decode_png(encoded(".png", photo)))
    np.testing.assert_array_equal(decode(encoded(".bmp", photo), "x"), tf.io.decode_bmp(encoded(".bmp", photo)))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_files_give_the_pixels_that_were_written(photo, suffix):
    np.testing.assert_array_equal(decode(encoded(suffix, photo), "x"), photo[..., ::-1])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg"])
def test_grey_is_repeated_to_three_channels(photo, suffix):
    gray = photo[..., 0]
    found = decode(encoded(suffix, gray, cv2.IMWRITE_JPEG_QUALITY, 100), "x")
    assert found.shape == (61, 83, 3)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0].astype(int) - gray).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_alpha_is_dropped_not_blended(photo, suffix):
    alpha = np.random.default_rng(1).integers(0, 256, photo.shape[:2], dtype=np.uint8)
    found = decode(encoded(suffix, np.dstack([photo, alpha])), "x")
    np.testing.assert_array_equal(found, photo[..., ::-1])


def exif(orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def turned(suffix, data, orientation, order="<"):
    """The file with an EXIF orientation in its header."""
    block = exif(orientation, order)
    if suffix == ".jpg":
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + data[2:]
    return data[:33] + chunk(b"eXIf", block) + data[33:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_is_turned_upright_as_its_exif_orientation_says(photo, suffix, orientation, order):
    data = turned(suffix, encoded(suffix, photo), orientation, order)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode(data, "x"), expected)
    assert headers.read(data).orientation == orientation


WIDTH = struct.pack("<HHIi", 256, 9, 1, 7)
NO_BITS = struct.pack("<HHII", 258, 3, 0, 0)


@pytest.mark.parametrize("beside", [WIDTH, NO_BITS])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_what_else_an_exif_block_says_does_not_matter(photo, suffix, beside):
    """As in Pillow: an image width as a signed number, a number of bits that has no value."""
    block = b"II*\0" + struct.pack("<IH", 8, 2) + beside + exif(6)[10:]
    data = encoded(suffix, photo)
    if suffix == ".jpg":
        odd = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + data[2:]
    else:
        odd = data[:33] + chunk(b"eXIf", block) + data[33:]
    with Image.open(io.BytesIO(odd)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode(odd, "x"), expected)
    assert headers.read(odd).orientation == 6


@pytest.mark.parametrize("orientations", [(6, 1), (1, 6), (8, 3)])
def test_of_several_exif_segments_the_first_counts(photo, orientations):
    data = encoded(".jpg", photo)
    for orientation in reversed(orientations):
        data = turned(".jpg", data, orientation)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode(data, "x"), expected)
    assert headers.read(data).orientation == orientations[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_upright_too(photo, orientation):
    data = pillow(photo, "TIFF", tiffinfo={274: orientation})
    expected = decode(turned(".png", encoded(".png", photo[..., ::-1]), orientation), "x")
    np.testing.assert_array_equal(decode(data, "x"), expected)


@pytest.mark.parametrize("block", [b"", b"II*", exif(0), exif(77), exif(6)[:16], b"II*\0\xff\xff\xff\xff"])
def test_an_exif_block_that_says_nothing_changes_nothing(photo, block):
    data = encoded(".jpg", photo)
    odd = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + data[2:]
    np.testing.assert_array_equal(decode(odd, "x"), decode(data, "x"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_a_truncated_file_is_an_input_error(tmp_path, photo, suffix, share):
    data = encoded(suffix, photo)
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"cut\{suffix}: truncated or damaged \(.+\); copy it again"):
        decode_file(tmp_path / f"cut{suffix}")


def test_each_unusable_file_says_what_it_is(tmp_path, photo):
    def refused(data, words):
        with pytest.raises(InputError, match=words):
            decode(data, "x.jpg")

    refused(b"", "x.jpg: the file is empty")
    refused(b"words and so on", "x.jpg: not a JPEG, PNG, BMP or TIFF image")
    refused(b"GIF89a and so on", "x.jpg: is GIF, not a JPEG, PNG, BMP or TIFF image; convert it")
    refused(b"\0\0\0\x18ftypheic and so on", "x.jpg: is HEIF or AVIF, not")
    refused(encoded(".png", photo.astype(np.uint16) * 257), "x.jpg: 16 bits per channel")
    refused(encoded(".tiff", photo.astype(np.uint16) * 257), "x.jpg: 16 bits per channel")
    with pytest.raises(InputError, match=r"none\.jpg: no such image file"):
        decode_file(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is a folder"):
        decode_file(tmp_path)


def test_cmyk_is_refused():
    start, frame = b"\xff\xd8", b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 4, 4, 4) + bytes(12)
    with pytest.raises(InputError, match="x: a CMYK image; convert it to RGB"):
        decode(start + frame + b"\xff\xda\0\x02\xff\xd9", "x")
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in _SMALL_CMYK.items())
        with pytest.raises(InputError, match="x: a CMYK image"):
            decode(mark + struct.pack(order + "IH", 8, len(_SMALL_CMYK)) + entries, "x")


def zeroed(data, begin, end):
    first, last = int(begin * len(data)), int(end * len(data))
    return data[:first] + bytes(last - first) + data[last:]


JPEG_DAMAGES = {
    "cut": lambda data: data[: len(data) * 6 // 10] + b"\xff\xd9",
    "half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-2],
    "zeroed middle": lambda data: zeroed(data, 0.5, 0.6),
    "zeroed tail": lambda data: zeroed(data, 0.7, 1)[:-2] + b"\xff\xd9",
    "a part left out": lambda data: data[: len(data) // 2] + data[len(data) * 6 // 10 :],
    "a foreign part": lambda data: data[: len(data) // 2] + b"another file" * 20 + data[len(data) // 2 :],
}


@pytest.mark.parametrize("damage", JPEG_DAMAGES)
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_whose_codec_warns_is_damaged_for_audit_and_decoder_alike(photo, damage, progressive, tmp_path, capfd):
    data = JPEG_DAMAGES[damage](encoded(".jpg", photo, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    with pytest.raises(InputError, match="x: truncated or damaged"):
        decode(data, "x")
    (tmp_path / "x.jpg").write_bytes(data)
    (problem,) = fingerprints.inspect(tmp_path / "x.jpg").problems
    assert problem.severity == "error" and problem.kind in ("damaged", "truncated")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("marker", ["db", "c0", "c4", "da"])
def test_stray_bytes_between_the_segments_of_a_jpeg_are_named_by_audit_and_decoder(photo, marker, tmp_path, capfd):
    data = encoded(".jpg", photo).replace(bytes.fromhex(f"ff{marker}"), b"?" + bytes.fromhex(f"ff{marker}"), 1)
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(InputError, match=f"1 extraneous bytes before marker 0x{marker}"):
        decode_file(tmp_path / "x.jpg")
    (problem,) = fingerprints.inspect(tmp_path / "x.jpg").problems
    assert problem.severity == "error" and f"0x{marker}" in problem.reason
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded():
    flat = encoded(".jpg", np.zeros((6000, 6000), np.uint8), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = flat.rfind(b"\xff\xda")
    started = time.perf_counter()
    with pytest.raises(InputError, match="scans"):
        decode(flat[:-2] + flat[last:-2] * 2000 + flat[-2:], "x")
    assert time.perf_counter() - started < 1


def scanlines(photo, kind=0):
    return b"".join(bytes([kind]) + row.tobytes() for row in photo)


PNG_DAMAGES = {
    "half of the stream": lambda photo, whole: png(83, 61, whole[: len(whole) // 2]),
    "too few rows": lambda photo, whole: png(83, 61, zlib.compress(scanlines(photo[:50]))),
    "too many rows": lambda photo, whole: png(83, 61, zlib.compress(scanlines(photo) + bytes(250))),
    "something after the stream": lambda photo, whole: png(83, 61, whole + b"more"),
    "a wrong sum of the stream": lambda photo, whole: png(83, 61, whole[:-4] + b"0000"),
    "no sum of the stream": lambda photo, whole: png(83, 61, whole[:-4]),
    "no stream": lambda photo, whole: png(83, 61, b""),
    "an unknown filter": lambda photo, whole: png(83, 61, zlib.compress(scanlines(photo, 9))),
    "an unknown part": lambda photo, whole: png(83, 61, whole, before=chunk(b"ABCD", b"x")),
    "a second header": lambda photo, whole: png(83, 61, whole, before=png(83, 61, b"")[8:33]),
    "no palette": lambda photo, whole: png(249, 61, whole, colors=3),
    "a palette too long": lambda photo, whole: png(249, 61, whole, colors=3, before=chunk(b"PLTE", bytes(3 * 257))),
    "another interlacing": lambda photo, whole: png(83, 61, whole, interlaced=1),
    "an impossible depth": lambda photo, whole: png(83, 61, whole, bits=4),
    "a foreign byte": lambda photo, whole: png(83, 61, whole)[:300] + b"?" + png(83, 61, whole)[301:],
    "a foreign byte in a text": lambda photo, whole: png(83, 61, whole, before=chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
}


@pytest.mark.parametrize("damage", PNG_DAMAGES)
def test_a_damaged_png_is_refused_and_libpng_says_nothing(photo, damage, capfd):
    rgb = np.ascontiguousarray(photo[..., ::-1])
    data = PNG_DAMAGES[damage](rgb, zlib.compress(scanlines(rgb)))
    with pytest.raises(InputError, match="x: truncated or damaged"):
        decode(data, "x")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("odd", [b"iCCP", b"gAMA", b"tEXt", b"eXIf", b"tRNS", b"sBIT", b"acTL", b"zzZz"])
def test_what_a_png_tells_besides_its_pixels_changes_nothing_and_libpng_says_nothing(photo, odd, capfd):
    rgb = np.ascontiguousarray(photo[..., ::-1])
    data = png(83, 61, zlib.compress(scanlines(rgb)), before=chunk(odd, b"nonsense"))
    np.testing.assert_array_equal(decode(data, "x"), rgb)
    assert capfd.readouterr() == ("", "")


STORED = {
    "gray and alpha": ("PNG", "LA", {}),
    "1 bit": ("PNG", "1", {}),
    "a palette": ("PNG", "P", {}),
    "a transparent gray": ("PNG", "L", {"transparency": 100}),
    "a transparent color": ("PNG", "RGB", {"transparency": (1, 2, 3)}),
    "BMP of 1 bit": ("BMP", "1", {}),
    "BMP with a palette": ("BMP", "P", {}),
    "BMP with alpha": ("BMP", "RGBA", {}),
    "BigTIFF": ("TIFF", "RGB", {"big_tiff": True}),
    "TIFF by LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF by zstd": ("TIFF", "RGB", {"compression": "zstd"}),
    "TIFF by JPEG": ("TIFF", "RGB", {"compression": "jpeg"}),
    "TIFF with a palette": ("TIFF", "P", {}),
    "TIFF of 1 bit": ("TIFF", "1", {}),
    "TIFF, white as 0": ("TIFF", "L", {"tiffinfo": {262: 0}}),
}


@pytest.mark.parametrize("stored", STORED)
def test_colors_are_those_that_pillow_sees_without_alpha(photo, stored, capfd):
    form, mode, options = STORED[stored]
    alpha = np.random.default_rng(1).integers(0, 256, photo.shape[:2], dtype=np.uint8)
    rgba = Image.fromarray(np.dstack([photo[..., ::-1], alpha]))
    data = pillow(rgba.convert("RGB") if mode not in ("LA", "RGBA") else rgba, form, mode, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode(data, "x"), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_transparent_pixel_of_a_tiff_keeps_its_color(photo, compression):
    rgb = photo[..., ::-1]
    alpha = np.random.default_rng(1).integers(0, 2, photo.shape[:2], dtype=np.uint8) * 255
    data = pillow(np.dstack([rgb, alpha]), "TIFF", "RGBA", compression=compression)
    np.testing.assert_array_equal(decode(data, "x"), rgb)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr", "I;16", "F"])
def test_a_tiff_of_other_colors_or_more_bits_is_refused_by_audit_and_decoder(photo, mode, tmp_path):
    image = Image.fromarray(photo)
    image = Image.fromarray(photo[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    (tmp_path / "x.tif").write_bytes(pillow(image, "TIFF", image.mode))
    with pytest.raises(InputError, match="convert it to"):
        decode_file(tmp_path / "x.tif")
    (problem,) = fingerprints.inspect(tmp_path / "x.tif").problems
    assert problem.kind == ("sixteen_bit" if mode in ("I;16", "F") else "wrong_channels")


def claiming(suffix, photo, width, height):
    """A small file whose header claims a size."""
    data = bytearray(encoded(suffix, photo))
    if suffix == ".jpg":
        at = data.find(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    elif suffix == ".png":
        return png(width, height, zlib.compress(bytes(1000)))
    elif suffix == ".bmp":
        data[18:26] = struct.pack("<ii", width, height)
    else:
        data = bytearray(pillow(photo, "TIFF"))
        for tag, stored, value in ((256, 83, width), (257, 61, height)):
            at = re.search(struct.pack("<H", tag) + b"[\x03\x04]\0" + struct.pack("<II", 1, stored), data).start()
            data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    return bytes(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
@pytest.mark.parametrize("size", [(32_000, 32_000), (40_000, 1), (1, 40_000)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(photo, suffix, size, tmp_path):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(claiming(suffix, photo, *size))
    started = time.perf_counter()
    with pytest.raises(InputError, match=rf"x\{suffix}: has {size[0]} x {size[1]} pixels.*CERVIX_TF_MAX_PIXELS"):
        decode_file(file)
    assert [problem.kind for problem in fingerprints.inspect(file).problems] == ["too_large"]
    assert time.perf_counter() - started < 1


def test_a_tiff_of_huge_tiles_is_refused():
    entries = {256: 4, 257: 4, 258: 8, 262: 1, 322: 60_000, 323: 60_000}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    with pytest.raises(InputError, match="make it smaller"):
        decode(b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags, "x")


def test_the_limit_of_pixels_is_a_setting(photo, monkeypatch):
    data = encoded(".png", photo)
    monkeypatch.setenv("CERVIX_TF_MAX_PIXELS", "5000")
    with pytest.raises(InputError, match="has 83 x 61 pixels, the limit is 5000"):
        decode(data, "x")
    monkeypatch.setenv("CERVIX_TF_MAX_PIXELS", "5063")
    assert decode(data, "x").shape == (61, 83, 3)
    for wrong in ("many", "-1", "0", "1e6"):
        monkeypatch.setenv("CERVIX_TF_MAX_PIXELS", wrong)
        with pytest.raises(InputError, match=f"CERVIX_TF_MAX_PIXELS: '{wrong}' is not a number of pixels"):
            decode(data, "x")


def no_file(folder, what):
    file = folder / "x.jpg"
    if what == "a pipe":
        os.mkfifo(file)
    elif what == "a folder":
        file.mkdir()
    elif what == "a socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(file))
    elif what == "a device":
        file.symlink_to("/dev/zero")
    elif what == "symbolic links":
        file.symlink_to(file)
    else:
        with file.open("wb") as sparse:
            sparse.truncate(10**12)
    return file


@pytest.mark.parametrize("what", ["a pipe", "a folder", "a socket", "a device", "symbolic links", "longer than"])
def test_what_is_no_regular_file_of_a_sensible_length_is_refused_at_once(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    file = no_file(tmp_path, what)
    started = time.perf_counter()
    with pytest.raises(InputError, match=rf"x\.jpg: .*{what.replace('socket', 'pipe')}"):
        decode_file(file)
    (problem,) = fingerprints.inspect(file).problems
    assert problem.kind == ("too_large" if what == "longer than" else "unreadable")
    assert time.perf_counter() - started < 1


@pytest.mark.real_data
def test_no_real_image_is_refused(real_data):
    everything = sorted(file for file in real_data.rglob("*") if file.suffix.lower() in walk.SUFFIXES)
    assert everything
    check_files(everything[::10])


@pytest.mark.real_data
def test_real_images_decode_as_tf_io_decodes_them(real_data):
    files = [file for suffix in ("jpg", "jpeg", "bmp") for file in sorted(real_data.rglob(f"*.{suffix}"))[::150]]
    assert files
    for file in files:
        data = file.read_bytes()
        plain = tf.io.decode_bmp(data) if file.suffix == ".bmp" else None
        expected = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE") if plain is None else plain
        np.testing.assert_array_equal(decode_file(file), expected, err_msg=str(file))
