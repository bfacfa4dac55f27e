import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from cervix_tf.data import manifest, seen
from cervix_tf.errors import InputError


@pytest.fixture
def listed(tmp_path):
    """Twelve images of six women, two a woman, each file different: three train, one validates, two test."""
    records = []
    for at in range(12):
        path = f"{at}.jpg"
        (tmp_path / path).write_bytes(f"image {at}".encode())
        woman = at // 2
        split = "train" if woman < 3 else "val2" if woman == 3 else "test"
        records.append({"path": path, "group": f"woman_{woman}", "split": split})
    return manifest.from_records(records, tmp_path)


def counts(record, tested, **options):
    found = seen.overlap(record, tested, **options)
    return (found.trained_files, found.trained_groups, found.chosen_files, found.chosen_groups)


def test_files_and_groups_of_training_and_of_the_choice_are_counted(listed):
    record = seen.of(listed)
    assert counts(record, listed.part("test")) == (0, 0, 0, 0)
    assert counts(record, listed) == (6, 3, 2, 1)
    found = seen.overlap(record, listed)
    assert (found.files, found.groups, found.unknown_files) == (12, 6, 0)
    assert [each[:75] for each in found.warnings()] == [
        "the model was trained on 6 of these 12 files and on 3 of these 6 groups; re",
        "the model was chosen on 2 of these 12 files and on 1 of these 6 groups; res",
    ]
    assert "ALL of these 3 groups" in seen.overlap(record, listed.part("train")).warnings()[0]


def test_a_renamed_file_is_known_by_its_bytes_and_another_image_of_a_woman_by_her_name(listed, tmp_path):
    record = seen.of(listed)
    (tmp_path / "new.jpg").write_bytes(b"image 0")
    (tmp_path / "other.jpg").write_bytes(b"never seen")
    renamed = manifest.from_records([{"path": "new.jpg"}, {"path": "other.jpg"}], tmp_path)
    assert counts(record, renamed) == (1, 1, 0, 0)
    another = manifest.from_records([{"path": "other.jpg", "group": "woman_1"}], tmp_path)
    assert counts(record, another) == (0, 1, 0, 0)
    assert "no file is the same: is it the same data set?" in seen.overlap(record, another).warnings()[0]
    same_number = manifest.from_records([{"path": "other.jpg", "case": "woman_1"}], tmp_path)
    assert counts(record, same_number) == (0, 0, 0, 0)  # a case is no group


def test_cases_stand_for_groups_where_these_are_not_named(tmp_path):
    records = [{"path": f"{at}.jpg", "case": f"visit {at // 2}", "split": "train"} for at in range(4)]
    record = seen.of(manifest.from_records(records, tmp_path))
    found = seen.overlap(record, manifest.from_records(records[:2], tmp_path))
    assert (found.trained_groups, found.groups, found.unknown_files) == (1, 1, 2)


def test_an_empty_sha256_is_computed_and_a_wrong_one_is_not_believed_where_files_can_be_read(listed):
    record = seen.of(listed)
    wrong = manifest.Manifest(listed.rows.assign(sha256="0" * 64, group=""), listed.root)
    assert counts(record, wrong)[0] == 6
    assert counts(record, wrong, read=False)[0] == 0


def test_the_record_holds_no_name_and_no_digest_that_two_runs_share(listed):
    text = seen.of(listed).text()
    assert "woman_" not in text  # base64 has no underscore: no digest holds it by chance
    one, two = (json.loads(seen.of(listed).text())["trained"]["groups"] for _ in range(2))
    assert one != two
    assert seen.of(listed, "0" * 32).text() == seen.of(listed, "0" * 32).text()


def test_what_is_written_is_read_and_thousands_of_rows_stay_small(listed, tmp_path):
    record = seen.of(listed)
    record.write(tmp_path / "seen.json")
    again = seen.read(tmp_path / "seen.json")
    assert (again.salt, again.trained.rows, again.chosen.rows) == (record.salt, 6, 2)
    np.testing.assert_array_equal(again.trained.files, record.trained.files)
    many = [{"path": f"{at}", "sha256": f"{at:064x}", "group": f"w{at}", "split": "train"} for at in range(5000)]
    assert len(seen.of(manifest.from_records(many, tmp_path)).text()) < 120_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"salt": "xyz"}, "salt is not 32 hex digits"),
        ({"salt": None}, "salt is not 32 hex digits"),
        ({"more": 1}, "is not a record"),
        ({"trained": []}, "is not a record"),
        ({"trained": {"rows": -1, "files": "", "groups": ""}}, "number of rows"),
        ({"trained": {"rows": True, "files": "", "groups": ""}}, "number of rows"),
        ({"trained": {"rows": 1, "files": "AAAA", "groups": ""}}, "digests are incomplete"),
        ({"trained": {"rows": 1, "files": "%", "groups": ""}}, "digests are incomplete"),
        ({"trained": {"rows": 1, "files": 3, "groups": ""}}, "digests are incomplete"),
    ],
)
def test_another_value_than_a_record_holds_is_an_input_error(listed, change, words):
    value = {**json.loads(seen.of(listed).text()), **change}
    with pytest.raises(InputError, match=f"seen.json: .*{words}"):
        seen.parse(json.dumps(value).encode(), "seen.json")


@hypothesis.settings(max_examples=30)
@hypothesis.given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["salt", "trained", "chosen", "rows", "files", "groups"]), inner)))  # fmt: skip
def test_any_json_is_a_record_or_an_input_error(value):
    with pytest.raises(InputError):
        seen.parse(json.dumps(value).encode(), "seen.json")
