from __future__ import annotations

import csv
from collections import Counter
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data.synthetic import colposcopy, visits
from cervix_tf.data.synthetic.colposcopy import CLASSES, VIEWS
from cervix_tf.errors import InputError

SHAPE = (120, 160)
ALIKE = {  # the classes that one view of a visit shows in exactly the same way
    "acetic": ("cin2_3", "cancer"),
    "green": ("normal", "cin1"),
    "iodine": ("cin1", "cin2_3"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "visits"
    visits.write(folder, visits=24, seed=3, height=120, width=160)
    return folder


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, colposcopy.Visit]]:
    """Twelve cervices, each as every class."""
    return [{label: colposcopy.draw(5, number, label, SHAPE) for label in CLASSES} for number in range(12)]


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_folder_has_the_original_layout(root: Path) -> None:
    folders = [path for path in root.glob("*/*/*") if path.is_dir()]
    assert len(folders) == 24
    assert len({folder.name for folder in folders}) == 24
    assert Counter(folder.parts[-3:-1] for folder in folders) == {
        (split, str(at)): count for split, count in (("train", 4), ("test", 2)) for at in range(4)
    }
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f"{folder.name}_{at}.jpg" for at in range(1, 8)]
        assert cv2.imread(str(folder / names[0])).shape == (120, 160, 3)


def test_images_sorted_by_name_are_five_acetic_then_green_then_iodine(root: Path) -> None:
    for folder in root.glob("*/*/*"):
        means = [cv2.imread(str(path)).mean(axis=(0, 1)) for path in sorted(folder.iterdir())]
        red_minus_green = np.array([red - green for _, green, red in means])
        assert red_minus_green[5] < 0 < red_minus_green[:5].min()
        assert means[6].sum() < min(mean.sum() for mean in means[:5])  # iodine stains dark


def test_the_importer_reads_it(root: Path) -> None:
    importers = pytest.importorskip("cervix_tf.data.importers")
    found = importers.load("cervigram_visits", root)
    rows = found.manifest.rows
    assert len(rows) == 24 * 7
    assert Counter(rows["label"]) == dict.fromkeys(CLASSES, 6 * 7)
    assert Counter(rows["split"]) == {"train": 16 * 7, "test": 8 * 7}
    evidence = {(row["visit"], row["view"]) for row in csv.DictReader((root / "evidence.csv").open())}
    assert evidence <= set(zip(rows["case"], rows["view"], strict=True))


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(root: Path, tmp_path: Path) -> None:
    visits.write(tmp_path / "again", visits=24, seed=3, height=120, width=160, workers=1)
    assert contents(tmp_path / "again") == contents(root)


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    for seed in (0, 1):
        visits.write(tmp_path / str(seed), visits=4, seed=seed, height=60, width=80, test_share=0)
    images = [
        {data for name, data in contents(tmp_path / str(seed)).items() if name.endswith("jpg")} for seed in (0, 1)
    ]
    assert len(images[0]) == len(images[1]) == 28
    assert not images[0] & images[1]


def test_counts_can_be_given_by_class(tmp_path: Path) -> None:
    visits.write(tmp_path / "v", visits={"normal": 5, "cancer": 2}, seed=0, height=60, width=80, test_share=0.4)
    folders = Counter(path.relative_to(tmp_path / "v").parent.as_posix() for path in (tmp_path / "v").glob("*/*/*"))
    assert folders == {"train/0": 3, "test/0": 2, "train/3": 1, "test/3": 1}


def test_classes_share_a_number_that_four_does_not_divide_as_evenly_as_can_be(tmp_path: Path) -> None:
    visits.write(tmp_path / "v", visits=6, seed=0, height=60, width=80, test_share=0)
    assert [len(list((tmp_path / "v" / "train" / str(at)).iterdir())) for at in range(4)] == [2, 2, 1, 1]


def test_the_folder_says_that_it_is_synthetic(root: Path) -> None:
    text = (root / "README.txt").read_text()
    assert text.startswith("SYNTHETIC")
    assert "24 visits" in text
    assert "seed 3" in text


def test_a_drawing_that_fails_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = colposcopy.draw

    def fails_late(seed: int, visit: int, label: str, shape: tuple[int, int]) -> colposcopy.Visit:
        if visit == 5:
            raise RuntimeError("interrupted")
        return draw(seed, visit, label, shape)

    monkeypatch.setattr(colposcopy, "draw", fails_late)
    with pytest.raises(RuntimeError, match="interrupted"):
        visits.write(tmp_path / "v", visits=8, seed=0, height=60, width=80)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"real")
    with pytest.raises(InputError, match="not empty"):
        visits.write(tmp_path, visits=4, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"visits": 0}, "at least one"),
        ({"visits": {"normal": -1, "cin1": 2}}, "negative"),
        ({"visits": {"cin4": 2}}, "'cin4'"),
        ({"seed": -1}, "negative"),
        ({"height": 10}, "at least 48"),
        ({"test_share": 1.5}, "between 0 and 1"),
    ],
)
def test_arguments_that_make_no_set_are_refused(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        visits.write(tmp_path / "v", **{"visits": 4, "seed": 0, **wrong})
    assert not (tmp_path / "v").exists()


def test_each_view_shows_two_classes_alike_and_tells_the_others_apart(drawn: list) -> None:
    for visit in drawn:
        for view in VIEWS:
            for one, two in combinations(CLASSES, 2):
                same = np.array_equal(visit[one].images[view], visit[two].images[view])
                assert same == ((one, two) == ALIKE[view.partition("_")[0]]), (view, one, two)


def test_nuisance_does_not_depend_on_the_class(drawn: list) -> None:
    """Away from the evidence, every class of a visit is the same picture."""
    for visit in drawn:
        for view in VIEWS:
            outside = np.ones(SHAPE, bool)
            for label in CLASSES[1:]:
                if view in visit[label].evidence:
                    x0, y0, x1, y1 = visit[label].evidence[view]
                    outside[y0:y1, x0:x1] = False
            covered = sum(view in visit[label].evidence for label in CLASSES) == 0
            for label in CLASSES[1:]:
                gap = np.abs(np.subtract(visit[label].images[view], visit["normal"].images[view], dtype=np.int16))
                assert covered or gap[outside].max() <= 3, (view, label)


def test_the_difference_that_a_class_makes_lies_inside_its_boxes(drawn: list) -> None:
    for visit in drawn:
        for label in CLASSES[1:]:
            for view, (x0, y0, x1, y1) in visit[label].evidence.items():
                assert 0 <= x0 < x1 <= SHAPE[1]
                assert 0 <= y0 < y1 <= SHAPE[0]
                gap = np.abs(np.subtract(visit[label].images[view], visit["normal"].images[view], dtype=np.int32))
                assert gap[y0:y1, x0:x1].sum() > 0.98 * gap.sum() > 0
                changed = gap.sum(axis=2)[y0:y1, x0:x1] > 6
                assert changed.mean() > 0.3, (view, label)  # the box is not much larger than what is in it


def test_boxes_stand_for_every_view_that_tells_the_class_unless_it_is_covered(drawn: list) -> None:
    telling = {"normal": 0, "cin1": 6, "cin2_3": 7, "cancer": 7}
    found = Counter()
    for visit in drawn:
        for label in CLASSES:
            found[label] += len(visit[label].evidence)
            assert len(visit[label].evidence) <= telling[label]
    assert found["normal"] == 0
    for label in CLASSES[1:]:
        assert 0.8 < found[label] / (telling[label] * len(drawn)) < 1


def test_where_the_lesion_is_covered_next_to_nothing_tells_the_class(drawn: list) -> None:
    def contrast(visit: dict[str, colposcopy.Visit], view: str) -> float:
        gap = np.subtract(visit["cancer"].images[view], visit["normal"].images[view], dtype=np.int32)
        return float(np.abs(gap).mean())

    seen: dict[bool, list[float]] = {True: [], False: []}
    for visit in drawn:
        for view in VIEWS:
            seen[view in visit["cancer"].evidence].append(contrast(visit, view))
    assert seen[False]
    assert max(seen[False]) < 0.25 * np.median(seen[True])


def test_whitening_comes_and_goes_over_the_acetic_views(drawn: list) -> None:
    def whiteness(label: str, view: str) -> float:
        """Mean gain in green and blue over the same visit without disease."""
        return float(np.mean([
            np.subtract(visit[label].images[view], visit["normal"].images[view], dtype=np.int32)[..., 1:].mean()
            for visit in drawn
        ]))  # fmt: skip

    for label in CLASSES[1:]:
        first, *_, last = course = [whiteness(label, view) for view in VIEWS[:5]]
        assert first > 0
        assert last < max(course) > first
    assert whiteness("cin1", "acetic_3") < 0.5 * whiteness("cin2_3", "acetic_3")


def test_the_same_visit_looks_alike_at_another_size() -> None:
    for label in CLASSES:
        small, large = (colposcopy.draw(1, 2, label, shape) for shape in ((120, 160), (240, 320)))
        for view in VIEWS:
            shrunk = cv2.resize(large.images[view], (160, 120), interpolation=cv2.INTER_AREA)
            assert np.abs(np.subtract(small.images[view], shrunk, dtype=np.int16)).mean() < 6


@pytest.fixture
def spoilt(root: Path, tmp_path: Path) -> tuple[Path, dict[str, bytes], dict[str, Path]]:
    import shutil

    copy = tmp_path / "spoilt"
    shutil.copytree(root, copy)
    return copy, contents(copy), visits.corrupt(copy, seed=0)


def test_corrupt_spoils_one_image_a_kind_and_leaves_the_rest(spoilt: tuple) -> None:
    root, before, files = spoilt
    after = contents(root)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    stems = {name.rpartition(".")[0] for name in changed}
    assert stems == {path.relative_to(root).with_suffix("").as_posix() for path in files.values()}
    assert len(stems) == len(files) == 12
    assert all(len(list(folder.iterdir())) == 7 for folder in root.glob("*/*/*"))


def test_corrupt_files_are_what_their_kind_says(spoilt: tuple) -> None:
    from PIL import Image

    root, before, files = spoilt
    assert files["empty"].stat().st_size == 0
    assert before[files["truncated"].relative_to(root).as_posix()].startswith(files["truncated"].read_bytes())
    with pytest.raises(OSError, match="truncated"):
        Image.open(files["truncated"]).load()
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(files["text"])
    with pytest.raises(Image.DecompressionBombError, match="3600000000"):
        Image.open(files["too_large"])
    assert files["too_large"].stat().st_size < 200
    modes = {kind: Image.open(files[kind]).mode for kind in ("cmyk", "gray", "alpha")}
    assert modes == {"cmyk": "CMYK", "gray": "L", "alpha": "RGBA"}
    assert cv2.imread(str(files["sixteen_bit"]), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_corrupt_copies_lie_where_their_kind_says(spoilt: tuple) -> None:
    root, _, files = spoilt
    by_bytes: dict[bytes, list[tuple[str, ...]]] = {}
    for path in sorted(root.glob("*/*/*/*")):
        by_bytes.setdefault(path.read_bytes(), []).append(path.relative_to(root).parts)
    twins = {}
    for kind in ("duplicate", "two_labels", "two_splits"):
        one, two = by_bytes[files[kind].read_bytes()]
        twins[kind] = [a == b for a, b in zip(one[:3], two[:3], strict=True)]  # part, class, visit
    assert twins == {
        "duplicate": [True, True, False],
        "two_labels": [True, False, False],
        "two_splits": [False, True, False],
    }


def test_corrupt_refuses_a_folder_with_too_few_visits(tmp_path: Path) -> None:
    visits.write(tmp_path / "v", visits=4, seed=0, height=60, width=80)
    with pytest.raises(InputError, match="too few visits"):
        visits.corrupt(tmp_path / "v", seed=0)
