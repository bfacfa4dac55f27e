"""The one order of views: what a name says, then natural order, else a refusal; the same on every way in."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.data import importers, inputs, manifest, names, views
from cervix_tf.errors import InputError
from cervix_tf.predict import files

VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")
RIGHT = {  # each in the order of VIEWS
    "numbered": ["1", "2", "3", "4", "5", "6", "7"],
    "numbered across ten": ["IMG (8)", "IMG (9)", "IMG (10)", "IMG (11)", "IMG (12)", "IMG (13)", "IMG (14)"],
    "in letters": ["a", "B", "c", "D", "e", "F", "g"],
    "named": ["acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine"],
    "named in mixed case": ["acetic1", "Acetic2", "ACETIC 3", "acetic-4", "acetic (5)", "Green", "Iodine"],
    "counted from nothing": ["acetic_0", "acetic_1", "acetic_2", "acetic_3", "acetic_10", "GreenLens", "lugol"],
    "named against the order of names": [*(f"x{9 - at} acetic {at}" for at in range(1, 6)), "b green", "a iodine"],
    "two of seven named": ["08", "9", "10", "11", "12", "5_green", "3_iodine"],
    "one of five not named": ["acetic_1", "acetic_2", "x", "acetic_4", "acetic_5", "green", "iodine"],
    "in full-width digits and other scripts": ["\uff11", "\u0662", "3", "4", "5", "6", "10"],
}  # fmt: skip
OPEN = {
    "a kind twice": (["green", "green 2", "1", "2", "3", "4", "5"], "2 file names match green, expected 1"),
    "two kinds in a name": (["green iodine", "1", "2", "3", "4", "5", "6"], "'green iodine.jpg' says green and iodine"),
    "one named and several kinds left": (["green", "1", "2", "3", "4", "5", "6"], "does not name a view, others do"),
    "equal but for zeros": (["1", "01", "2", "3", "4", "5", "6"], "'01.jpg' and '1.jpg' differ only in"),
    "equal but for case": (["a", "A", "b", "c", "d", "e", "f"], "'A.jpg' and 'a.jpg' differ only in"),
    "one number twice": (
        ["acetic_1", "acetic_01", "acetic_2", "acetic_3", "acetic_4", "green", "iodine"],
        "differ only in",
    ),
    "too few of a kind": (
        ["acetic_1", "acetic_2", "acetic_3", "acetic_4", "green", "iodine", "acetic_9 green"],
        "says",
    ),
    "numbers that no view has": (
        ["acetic_7", "acetic_8", "acetic_9", "x", "y", "green", "iodine"],
        "3 file names match acetic, expected",
    ),
}


def visit(folder: Path, stems: list[str]) -> Path:
    """Image k of the visit has the gray value 30 * k; files are made in no particular order."""
    folder.mkdir(parents=True)
    for at, stem in sorted(enumerate(stems), key=lambda one: hash(one[1])):
        assert cv2.imwrite(str(folder / f"{stem}.jpg"), np.full((4, 5, 3), 30 * at, np.uint8))
    return folder


def model(*wanted: str) -> Any:
    return SimpleNamespace(views=wanted or VIEWS, task="seven views", missing_views=False)


@pytest.mark.parametrize("stems", RIGHT.values(), ids=RIGHT.keys())
def test_prediction_import_and_manifest_give_a_visit_the_same_order(stems: list[str], tmp_path: Path) -> None:
    folder = visit(tmp_path / "train" / "0" / "v1", stems)
    expected = [str(folder / f"{stem}.jpg") for stem in stems]
    assert files.inputs_of([folder], model()) == [(str(folder), expected)]
    imported = importers.load("cervigram_visits", tmp_path).manifest
    by_view = dict(zip(imported.rows["view"], imported.paths(), strict=True))
    assert [by_view[view] for view in VIEWS] == expected
    manifest.write(imported, tmp_path / "manifest.csv")
    evaluated, _ = inputs.from_cases(manifest.read(tmp_path / "manifest.csv"), ["normal", "cancer"], VIEWS)
    assert list(evaluated.files[0]) == expected


@pytest.mark.parametrize(("stems", "why"), OPEN.values(), ids=OPEN.keys())
def test_a_visit_that_leaves_it_open_is_refused_with_the_names_it_may_use(
    stems: list[str], why: str, tmp_path: Path
) -> None:
    folder = visit(tmp_path / "train" / "0" / "v1", stems)
    with pytest.raises(InputError, match=rf"v1: cannot tell.*{why}.*call the files {', '.join(VIEWS)}"):
        files.inputs_of([folder], model())
    with pytest.raises(InputError, match=rf"v1: cannot tell.*{why}.*override table"):
        importers.load("cervigram_visits", tmp_path)


@given(order=st.permutations(range(7)), stems=st.sampled_from(list(RIGHT.values())))
def test_the_order_in_which_a_folder_lists_its_files_does_not_matter(order: list[int], stems: list[str]) -> None:
    found = views.assign([stems[at] for at in order], VIEWS, "v")
    assert [found[stem] for stem in stems] == list(VIEWS)


def test_a_kind_of_two_words_is_not_the_kind_of_one_of_them() -> None:
    wanted = ("saline", "green", "green_saline")
    assert views.assign(["green.jpg", "Green_Saline.jpg", "saline.jpg"], wanted, "v") == {
        "green.jpg": "green",
        "Green_Saline.jpg": "green_saline",
        "saline.jpg": "saline",
    }


def test_a_number_of_images_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="there are 3 images for 2 views"):
        views.assign(["1", "2", "3"], ("before", "after"), "v")


@pytest.mark.parametrize(
    ("files", "slots"),
    [
        (["acetic.png"], ["acetic.png"] * 3 + ["", ""]),
        (["x green.png", "2 acetic.png", "10 acetic.png"], ["2 acetic.png"] * 2 + ["10 acetic.png", "x green.png", ""]),
        (["Lugol.jpg"], ["", "", "", "", "Lugol.jpg"]),
        (["1.png", "2.png", "3.png", "4.png", "5.png"], ["1.png", "2.png", "3.png", "4.png", "5.png"]),
    ],
)
def test_of_a_case_that_lacks_views_each_name_says_its_kind_and_missing_kinds_are_empty(files, slots) -> None:
    assert views.of_some(files, ("acetic_1", "acetic_2", "acetic_3", "green", "iodine"), "x") == slots


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["1.png"], "'1.png' names no view, and the case may lack some"),
        (["green iodine.png"], "'green iodine.png' names green and iodine"),
        (["green a.png", "green b.png"], "2 files are named green, the model takes 1"),
        ([*(f"acetic_{n}.png" for n in range(1, 4)), "green_1.png", "green_2.png"], "2 files are named green, the"),
    ],
)
def test_a_case_that_lacks_views_is_refused_where_a_name_leaves_its_kind_open(files, words) -> None:
    with pytest.raises(InputError, match=words):
        views.of_some(files, ("acetic_1", "acetic_2", "acetic_3", "green", "iodine"), "x")


def test_two_views_of_one_number_in_a_manifest_are_refused() -> None:
    rows = [
        {"path": f"{view}.jpg", "label": "cancer", "case": "a", "view": view}
        for view in ("acetic_1", "acetic_01", "green")
    ]
    with pytest.raises(InputError, match=r"case 'a' has two images of the view 'acetic_1'.*acetic_01\.jpg"):
        inputs.from_cases(manifest.from_records(rows, Path("/data")), ["normal", "cancer"], ("acetic_1", "green"))


def test_thumbnails_are_no_views_and_a_link_or_pipe_is_named(tmp_path: Path) -> None:
    import os

    folder = visit(tmp_path / "v1", ["1", "2"])
    visit(folder / "@eaDir", ["1", "2"])
    (folder / "._1.jpg").write_bytes(b"")
    assert [len(paths) for _, paths in files.inputs_of([tmp_path], model("before", "after"))] == [2]
    os.mkfifo(folder / "3.jpg")
    for views_of in (model("before", "after"), SimpleNamespace(views=(), task="", missing_views=False)):
        with pytest.raises(InputError, match=r"3\.jpg: pipe or device"):
            files.inputs_of([tmp_path], views_of)
        with pytest.raises(InputError, match="is a pipe or a device"):
            files.inputs_of([folder / "3.jpg"], views_of)


def test_natural_order_counts_and_looks_past_case_and_the_form_of_letters() -> None:
    ordered = ["a 2", "A 10", "\u00e9 1", "e\u0301 2"]
    assert all(names.natural(one) < names.natural(other) for one, other in pairwise(ordered))
    assert names.natural("Caf\u00e9 007") == names.natural("cafe\u0301 7")
    assert names.natural("9" * 5000) < names.natural("1" + "0" * 5000)


@given(st.text(), st.text())
def test_natural_order_is_an_order_for_any_text(one: str, other: str) -> None:
    first, second = names.natural(one), names.natural(other)
    assert (first < second) + (second < first) + (first == second) == 1
