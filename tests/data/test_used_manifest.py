import pytest

from cervix_tf.data import manifest, used_manifest
from cervix_tf.errors import InputError

ROWS = [
    {
        "path": f"{at}.jpg", "sha256": f"{at}" * 64, "label": "cancer" if at % 2 else "normal", "group": f"w{at // 2}",
        "case": f"c{at}", "view": "green", "split": "train" if at < 4 else "test", "age": 30 + at,
    }
    for at in range(6)
]  # fmt: skip


def of(rows, root="."):
    return manifest.from_records(rows, root)


def changed(at, **columns):
    return [{**row, **columns} if place == at else row for place, row in enumerate(ROWS)]


@pytest.fixture
def kept(tmp_path):
    used_manifest.keep(of(ROWS), tmp_path / "manifest.csv")
    return tmp_path / "manifest.csv"


def test_the_same_data_again_change_nothing_wherever_they_lie_now(kept):
    before = kept.stat().st_mtime_ns
    used_manifest.keep(of(ROWS, "/moved"), kept)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (changed(4, label="cancer"), r"4\.jpg: label was 'normal', now 'cancer'"),
        (changed(4, split="train"), r"4\.jpg: split was 'test', now 'train'"),
        (changed(1, group="w9"), r"1\.jpg: group was 'w0', now 'w9'"),
        (changed(0, sha256="f" * 64), r"0\.jpg: sha256 was '0{64}', now 'f{64}'"),
        (changed(0, sha256=""), r"0\.jpg: sha256 was '0{64}', now ''"),
        (changed(2, age=33), r"2\.jpg: age was '32', now '33'"),
        (changed(2, view="iodine", case="x"), r"2\.jpg: case was 'c2', now 'x', view was 'green', now 'iodine'"),
        ([*ROWS, {"path": "7.jpg"}], r"7\.jpg is new"),
        (ROWS[:-1], r"5\.jpg is missing"),
        ([ROWS[0], ROWS[2], ROWS[1], *ROWS[3:]], r"the rows have another order, from 2\.jpg on"),
        (
            [{**row, "split": "test"} for row in ROWS],
            r"2\.jpg: split was 'train', now 'test'; and 1 more rows; restore",
        ),
    ],
)
def test_other_data_are_refused_with_the_first_rows_that_differ(rows, said, kept):
    before = kept.read_bytes()
    with pytest.raises(InputError, match=rf"manifest\.csv: the run was made with other data: .*{said}"):
        used_manifest.keep(of(rows), kept)
    assert kept.read_bytes() == before


def test_sizes_that_were_found_out_since_are_no_other_data(kept):
    used_manifest.check(of([{**row, "width": 8, "height": 8} for row in ROWS]), kept)
