import io
import json
import os
import struct
import tracemalloc
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from cervix_tf import bounded
from cervix_tf.bounded import Unreadable


def archive(*members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **options) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return file


def test_bytes_behind_which_an_archive_stands_are_no_hindrance():
    whole = b"a model " * 999 + archive(("a", b"1"), ("b", b"2")).getvalue()
    opened = bounded.open_zip(io.BytesIO(whole), 2)
    assert [bounded.member(opened, name) for name in "ab"] == [b"1", b"2"]
    with pytest.raises(Unreadable, match="has no c"):
        bounded.member(opened, "c")


def test_a_bomb_is_refused_by_what_it_would_inflate_to():
    with pytest.raises(Unreadable, match="inflates to 9,000,000 bytes, more than the 1,000"):
        bounded.open_zip(archive(("a", bytes(9_000_000))), 1000)


def test_a_member_that_inflates_to_more_than_it_says_is_cut_off_and_refused():
    file = archive(("a", bytes(9_000_000)))
    said, real = struct.pack("<I", 10), struct.pack("<I", 9_000_000)
    opened = bounded.open_zip(io.BytesIO(file.getvalue().replace(real, said)), 1000)
    tracemalloc.start()
    with pytest.raises(Unreadable, match="a: "):
        bounded.member(opened, "a")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_and_encrypted_members_too_many_and_none_are_refused():
    with pytest.raises(Unreadable, match="two members with the same name"):
        bounded.open_zip(archive(("a", b""), ("a", b"")), 10)
    locked = bytearray(archive(("a", b"1")).getvalue())
    locked[locked.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(Unreadable, match="encrypted"):
        bounded.open_zip(io.BytesIO(locked), 10)
    with pytest.raises(Unreadable, match="too many members"):
        bounded.open_zip(archive(*((f"{at:0100}", b"") for at in range(9000))), 10)
    with pytest.raises(Unreadable, match="no archive"):
        bounded.open_zip(io.BytesIO(b"text"), 10)


def test_a_member_whose_damaged_entry_says_that_it_is_empty_is_refused():
    whole = bytearray(archive(("a", b"content")).getvalue())
    size = whole.index(b"PK\1\2") + 24
    whole[size : size + 4] = bytes(4)
    with pytest.raises(Unreadable, match="its checksum does not match"):
        bounded.member(bounded.open_zip(io.BytesIO(whole), 10), "a")


@hypothesis.given(st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(data):
    whole = bytearray(archive(("a", b"content " * 20), ("b", b"more")).getvalue())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.sampled_from([len(whole), len(whole) - 1, len(whole) // 2]))]
    try:
        opened = bounded.open_zip(io.BytesIO(whole), 1000)
        for each in opened.namelist():
            assert bounded.member(opened, each) in (b"content " * 20, b"more")
    except Unreadable:
        pass


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
        (b'"' + b"a" * 200_000 + b'"', "more than the 150,000"),
        (b"{", "not readable as JSON"),
        (b"\xff", "not readable as JSON"),
        (b"9" * 5000, "not readable as JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_that_is_too_deep_too_long_ambiguous_or_none_is_refused(raw, words):
    with pytest.raises(Unreadable, match=words):
        bounded.json_value(raw, 150_000)


def test_pipes_devices_and_large_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "loop").symlink_to("loop")
    for name, words in (
        ("loop", "leads to itself"),
        ("pipe", "is not a regular file"),
        ("zero", "is not a regular file"),
        ("large", "1,099,511,627,776 bytes"),
    ):
        with pytest.raises(Unreadable, match=words):
            bounded.read(tmp_path / name, 1000)


def npy(shape, descr="<f4", data=b"", version=b"\1\0"):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def test_arrays_are_read_and_those_of_another_length_than_they_say_are_not(tmp_path):
    np.savez(tmp_path / "whole.npz", a=np.arange(6).reshape(2, 3), b=np.array(["x", "yz"]), k=np.asarray(3))
    a, b, k = bounded.arrays(tmp_path / "whole.npz", "abk", 10_000)
    assert (a.tolist(), b.tolist(), int(k)) == ([[0, 1, 2], [3, 4, 5]], ["x", "yz"], 3)
    for raw in (
        npy("(1000000, 1000000)"),
        npy("(-1, -4)", data=bytes(16)),
        npy("(2,)", "|O", bytes(16)),
        npy("(1,)", "nonsense", bytes(4)),
        npy("(1,)", data=bytes(4), version=b"\7\0"),
        npy("'x'"),
        npy("(" * 300 + ")" * 300),
        b"\x93NUMPY",
        b"",
    ):
        (tmp_path / "a.npz").write_bytes(archive(("a.npy", raw)).getvalue())
        with pytest.raises(Unreadable, match="a: "):
            bounded.arrays(tmp_path / "a.npz", "a", 10_000)


def test_json_of_a_sound_value_is_what_the_standard_library_reads():
    value = {"a": [1, 2.5, None, "ä"], "b": {"c": True}}
    assert bounded.json_value(json.dumps(value).encode(), 1000) == value
