from pathlib import Path

from cervix_tf.data import manifest
from cervix_tf.report import data_counts
from cervix_tf.report.data_counts import Count


def listed(*rows):
    names = ("label", "split", "group", "case")
    records = [{"path": f"{at}.jpg", **dict(zip(names, row, strict=True))} for at, row in enumerate(rows)]
    return manifest.from_records(records, Path())


def test_images_and_cases_are_counted_by_class_and_part():
    found = data_counts.counted(
        listed(
            ("cancer", "test", "w1", "c1"),
            ("cancer", "test", "w1", "c1"),
            ("normal", "train", "w2", "c2"),
            ("normal", "test", "w3", ""),
        ),
        ["normal", "cancer"],
    )
    assert found.splits == ["train", "test", "all"]
    assert found.rows == [
        ("normal", [Count(1, 1), Count(1, 0), Count(2, 1)]),
        ("cancer", [Count(0, 0), Count(2, 1), Count(2, 1)]),
        ("all", [Count(1, 1), Count(3, 1), Count(4, 2)]),
    ]
    assert (found.groups, found.shared_groups) == (3, [])


def test_a_group_in_two_parts_is_named():
    found = data_counts.counted(listed(("a", "train", "w1", ""), ("a", "test", "w1", "")), ["a"])
    assert found.shared_groups == ["w1"]


def test_a_case_without_a_group_in_two_parts_is_named_and_rows_of_no_part_are_no_leak():
    rows = [("a", "train", "", "c1"), ("a", "test", "", "c1"), ("a", "train", "w1", ""), ("", "", "w1", "")]
    found = data_counts.counted(listed(*rows), ["a"])
    assert (found.groups, found.shared_groups) == (2, ["c1"])


def test_unlabeled_images_and_those_of_no_part_come_last():
    found = data_counts.counted(listed(("", "", "", ""), ("odd", "extra", "", ""), ("a", "train", "", "")), ["a", "b"])
    assert found.splits == ["train", "extra", "no split", "all"]
    assert [name for name, _ in found.rows] == ["a", "odd", "unlabeled", "all"]
