"""Image files broken in every way that a seed can draw: never a traceback, a hang, a flood of memory or a silent error.

Silent is: the reader gives other pixels than the sound file's, and a codec would have
complained. Other pixels that every codec takes for a sound image (a flipped bit of an
uncompressed file) cannot be told from a sound image by looking at the file alone.
"""

import io
import json
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

MOST_BYTES = 4e9
SECONDS = 10
SAMPLE = 24


def sound(picture, seed):
    """Name of a way of storing -> (suffix, bytes) of one image; all that the reader accepts."""
    rgb = picture(seed, 45, 60)
    rgb = np.clip(rgb + np.random.default_rng(seed).integers(-9, 10, rgb.shape), 0, 255).astype(np.uint8)
    image, alpha = Image.fromarray(rgb), Image.fromarray(np.dstack([rgb, rgb[..., 0]]))

    def stored(image, form, **options):
        file = io.BytesIO()
        image.save(file, form, **options)
        return file.getvalue()

    few = image.quantize(30)
    return {
        "jpeg": (".jpg", stored(image, "JPEG")),
        "jpeg_444": (".jpg", stored(image, "JPEG", quality=95, subsampling=0)),
        "jpeg_restarts": (".jpg", stored(image, "JPEG", restart_marker_rows=1)),
        "progressive": (".jpeg", stored(image, "JPEG", progressive=True)),
        "gray_jpeg": (".jpg", stored(image.convert("L"), "JPEG")),
        "png": (".png", stored(image, "PNG")),
        "png_alpha": (".png", stored(alpha, "PNG")),
        "png_palette": (".png", stored(few, "PNG")),
        "bmp": (".bmp", stored(image, "BMP")),
        "bmp_palette": (".bmp", stored(few, "BMP")),
        "tiff": (".tif", stored(image, "TIFF")),
        "tiff_alpha": (".tif", stored(alpha, "TIFF")),
        "tiff_lzw": (".tif", stored(image, "TIFF", compression="tiff_lzw")),
        "tiff_deflate": (".tiff", stored(image, "TIFF", compression="tiff_adobe_deflate")),
        "tiff_zstd": (".tiff", stored(image, "TIFF", compression="zstd")),
        "tiff_jpeg": (".tif", stored(image, "TIFF", compression="jpeg")),
        "tiff_gray_jpeg": (".tif", stored(image.convert("L"), "TIFF", compression="jpeg")),
        "tiff_packbits": (".tif", stored(image, "TIFF", compression="packbits")),
        "bigtiff": (".tif", stored(image, "TIFF", big_tiff=True)),
        "opencv_tiff": (".tif", cv2.imencode(".tif", rgb)[1].tobytes()),
    }


def cut(data, rng):
    return data[: rng.integers(len(data))]


def cut_before_its_end(data, rng):
    kept = data[: rng.integers(len(data) // 3, len(data))]
    return kept + (b"\xff\xd9" if data.startswith(b"\xff\xd8") else data[-12:])


def zeroed(data, rng):
    first = int(rng.integers(len(data)))
    last = min(len(data), first + int(rng.integers(1, len(data) // 2)))
    return data[:first] + bytes(last - first) + data[last:]


def one_bit_flipped(data, rng):
    at = rng.integers(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.integers(8)]) + data[at + 1 :]


def many_bits_flipped(data, rng):
    for _ in range(int(rng.integers(2, 40))):
        data = one_bit_flipped(data, rng)
    return data


def header_edited(data, rng):
    for _ in range(int(rng.integers(1, 4))):
        at = rng.integers(min(len(data), 200))
        data = data[:at] + bytes([rng.choice([0, 1, 127, 255, rng.integers(256)])]) + data[at + 1 :]
    return data


def end_edited(data, rng):  # where a TIFF may have its directory
    for _ in range(int(rng.integers(1, 4))):
        at = len(data) - 1 - rng.integers(min(len(data), 200))
        data = data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]
    return data


def part_doubled(data, rng):
    first, last = sorted(rng.integers(len(data), size=2))
    return data[:last] + data[first:last] + data[last:]


def part_lost(data, rng):
    first, last = sorted(rng.integers(len(data), size=2))
    return data[:first] + data[last:]


def noise_put_in(data, rng):
    at = rng.integers(len(data))
    return data[:at] + rng.bytes(int(rng.integers(1, 300))) + data[at:]


def blocks_swapped(data, rng):  # as on a damaged disk
    size = max(16, len(data) // 8)
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(blocks[at] for at in rng.permutation(len(blocks)))


def large_numbers(data, rng):  # sizes, counts, offsets
    at = rng.integers(min(len(data), 400))
    return data[:at] + rng.choice([b"\xff\xff\0\1", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"]) + data[at + 4 :]


def huge_size(data, rng):
    """The header, right otherwise, claims up to 65,000 x 65,000 pixels."""
    width, height = (int(side) for side in rng.integers(1_000, 65_000, 2))
    if data.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if data.startswith(b"\xff\xd8"):
        at = re.search(rb"\xff[\xc0\xc2]\0.\x08", data).end()
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    big = data[2] == 43
    for tag, value in ((256, width), (257, height)):
        begin = struct.pack("<H", tag) + b"[\3\4]\0\1\0\0\0" + (bytes(4) if big else b"")
        at = re.search(begin, data, re.DOTALL).start()
        entry = struct.pack("<HHQQ" if big else "<HHII", tag, 4, 1, value)
        data = data[:at] + entry + data[at + len(entry) :]
    return data


DAMAGES = (
    cut,
    cut_before_its_end,
    zeroed,
    one_bit_flipped,
    many_bits_flipped,
    header_edited,
    end_edited,
    part_doubled,
    part_lost,
    noise_put_in,
    blocks_swapped,
    large_numbers,
    huge_size,
)
SUFFIXES = (".jpg", ".png", ".bmp", ".tif")


def corpus(picture, seeds):
    """(file name, bytes, sound bytes) of every way of storing, broken in every way, once a seed."""
    for seed in seeds:
        for way, (suffix, data) in sound(picture, seed).items():
            for number, damage in enumerate(DAMAGES):
                rng = np.random.default_rng([seed, number, len(data)])
                name = suffix if rng.random() < 0.8 else rng.choice(SUFFIXES)  # which may say another kind
                yield f"{way}-{damage.__name__}-{seed}{name}", damage(data, rng), data


def read(by, folder):
    """What `read_images.py` says of each file of a folder, by name, and what it said to the terminal."""
    script = Path(__file__).with_name("read_images.py")
    done = subprocess.run([sys.executable, script, by, folder], capture_output=True, text=True, check=True)
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}, done.stderr


def check(broken, tmp_path):
    """Whether audit and decoder agree on every file and neither fails; returns how often there was what outcome."""
    whole, damaged, other = (tmp_path / name for name in ("whole", "damaged", "other"))
    for folder in (whole, damaged, other):
        folder.mkdir()
    for name, data, before in broken:
        (damaged / name).write_bytes(data)
        (whole / name).write_bytes(before)
    right, terminal_of_sound = read("reader", whole)
    found, terminal = read("reader", damaged)
    for name, each in found.items():
        if each.get("pixels", "") not in ("", right[name].get("pixels")):
            (damaged / name).rename(other / name)
    complaints, _ = read("codecs", other)
    assert terminal_of_sound == terminal == ""
    assert found.pop("")["bytes"] < MOST_BYTES
    assert all(each["pixels"] for name, each in right.items() if name)
    outcomes, silent = Counter(), []
    for name, each in found.items():
        assert "failed" not in each, (name, each)
        assert each["seconds"] < SECONDS, (name, each)
        assert each["audit"] == each["decoder"], (name, each)
        assert not each["said"] or name in each["said"], (name, each)
        if not each["pixels"]:
            outcomes["refused: " + each["decoder"][0]] += 1
        elif each["pixels"] == right[name]["pixels"]:
            outcomes["read: the sound pixels"] += 1
        elif complaints[name]["said"]:
            silent.append((name, complaints[name]["said"]))
        else:
            outcomes["read: another image, sound to every codec"] += 1
    assert not silent, "\n".join(map(str, silent))
    return outcomes


def test_a_sample_of_broken_images_is_refused_by_name_or_read(picture, tmp_path):
    everything = list(corpus(picture, [0]))
    chosen = np.random.default_rng(0).choice(len(everything), SAMPLE, replace=False)
    outcomes = check([everything[at] for at in chosen], tmp_path)
    assert sum(outcomes.values()) == SAMPLE
    assert sum(count for outcome, count in outcomes.items() if outcome.startswith("refused")) > SAMPLE / 3


@pytest.mark.reliability
def test_every_broken_image_is_refused_by_name_or_read(picture, tmp_path):
    outcomes = check(corpus(picture, range(1, 7)), tmp_path)
    print(f"\n{sum(outcomes.values())} broken images")
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {outcome}")
