from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf.data import manifest as manifests
from cervix_tf.data import splits
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError

FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}


def of_groups(sizes: dict[str, list[int]], order_seed: int | None = None) -> Manifest:
    """One label a group; `sizes` is label -> sizes of its groups."""
    records = [
        {"path": f"{label}/{group}/{at}.jpg", "label": label, "group": f"{label}-{group}"}
        for label, groups in sizes.items()
        for group, size in enumerate(groups)
        for at in range(size)
    ]
    if order_seed is not None:
        np.random.default_rng(order_seed).shuffle(records)
    return manifests.from_records(records, Path("root"))


@st.composite
def any_manifest(draw: st.DrawFn) -> Manifest:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["", "a", "b", "c"]),
                st.sampled_from(["", *(f"g{at}" for at in range(12))]),
                st.sampled_from(["", *(f"c{at}" for at in range(6))]),
            ),
            min_size=1,
            max_size=60,
        )
    )
    records = [
        {"path": f"{at}.jpg", "label": label, "group": group, "case": case, "view": f"v_{at}"}
        for at, (label, group, case) in enumerate(rows)
    ]
    return manifests.from_records(records, Path("root"))


def paths(part: Manifest) -> list[str]:
    return part.rows["path"].tolist()


def tied_by_hand(manifest: Manifest) -> list[set[str]]:
    """Sets of paths that may not be parted, by repeated merging."""
    sets: list[set[str]] = []
    for row in manifest.rows.itertuples():
        keys = {f"path {row.path}"}
        keys |= {f"group {row.group}"} if row.group else set()
        keys |= {f"case {row.case}"} if row.case else set()
        touching = [one for one in sets if one & keys]
        sets = [one for one in sets if not one & keys] + [keys.union(*touching)]
    return [{key.removeprefix("path ") for key in one if key.startswith("path ")} for one in sets]


@given(manifest=any_manifest())
def test_rows_of_a_group_are_what_repeated_merging_gives(manifest: Manifest) -> None:
    numbers = splits.group_numbers(manifest)
    found = [set(members) for _, members in manifest.rows["path"].groupby(numbers)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, tied_by_hand(manifest)))


@given(manifest=any_manifest(), seed=st.integers(0, 2**32))
def test_grouped_parts_are_a_partition_and_share_no_group_case_or_image(manifest: Manifest, seed: int) -> None:
    try:
        parts = splits.grouped(manifest, FRACTIONS, seed)
    except InputError as error:
        assert "too few" in str(error)
        return
    assert list(parts) == list(FRACTIONS)
    assert sorted(path for part in parts.values() for path in paths(part)) == sorted(paths(manifest))
    splits.check_disjoint(parts)
    home = {path: name for name, part in parts.items() for path in paths(part)}
    for tied in tied_by_hand(manifest):
        assert len({home[path] for path in tied}) == 1


@given(
    sizes=st.fixed_dictionaries({label: st.lists(st.integers(1, 4), min_size=20, max_size=40) for label in "abc"}),
    seed=st.integers(0, 1000),
)
def test_grouped_class_counts_stay_within_the_promised_distance_of_their_shares(
    sizes: dict[str, list[int]], seed: int
) -> None:
    parts = splits.grouped(of_groups(sizes), FRACTIONS, seed)
    for name, part in parts.items():
        for label, groups in sizes.items():
            share = FRACTIONS[name] * sum(groups)
            assert abs((part.rows["label"] == label).sum() - share) <= 2 * max(groups)


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(1, 30), min_size=3, max_size=12), min_size=1),
    seed=st.integers(0, 2**32),
)
def test_a_class_of_as_many_groups_as_there_are_parts_is_in_each(sizes: dict[str, list[int]], seed: int) -> None:
    for part in splits.grouped(of_groups(sizes), FRACTIONS, seed).values():
        assert set(part.rows["label"]) == set(sizes)


def test_a_part_that_lacks_a_class_gets_the_smallest_group_that_can_be_spared() -> None:
    sizes = {"common": [5] * 40, "rare": [3, 9, 2, 25]}
    found = splits.grouped(of_groups(sizes), FRACTIONS, seed=0)
    validation = found["validation"].rows
    assert validation.loc[validation["label"] == "rare", "group"].unique().tolist() == ["rare-2"]


def test_a_class_of_fewer_groups_than_parts_is_not_torn_apart() -> None:
    found = splits.grouped(of_groups({"common": [5] * 40, "rare": [3, 9]}), FRACTIONS, seed=0)
    assert sum("rare" in set(part.rows["label"]) for part in found.values()) == 2


@pytest.mark.parametrize("how", [splits.grouped, splits.random_by_class])
def test_the_same_seed_gives_the_same_split_whatever_the_order_of_rows(how) -> None:
    sizes = {"a": [1, 2, 3] * 10, "b": [2] * 15}
    one, two = (how(of_groups(sizes, order), FRACTIONS, 5) for order in (1, 2))
    for name in FRACTIONS:
        pd.testing.assert_frame_equal(one[name].rows, two[name].rows)
    assert paths(how(of_groups(sizes), FRACTIONS, 6)["test"]) != paths(one["test"])


def test_large_groups_are_not_kept_out_of_the_test_part() -> None:
    sizes = {"a": [1] * 40 + [4] * 40}
    tested = [splits.grouped(of_groups(sizes), {"train": 0.8, "test": 0.2}, seed)["test"] for seed in range(40)]
    in_large = np.mean([part.rows["group"].value_counts().eq(4).mean() for part in tested])
    assert 0.4 < in_large < 0.6  # half of all groups are large


def test_random_by_class_cuts_each_class_by_largest_remainder() -> None:
    manifest = of_groups({"a": [1] * 10, "b": [1] * 7, "c": [1]})
    parts = splits.random_by_class(manifest, FRACTIONS, 0)
    counts = {name: Counter(part.rows["label"]) for name, part in parts.items()}
    # 7 -> 4.9, 0.7, 1.4 -> floors 4, 0, 1 and the two left rows to remainders 0.9 and 0.7
    assert counts == {
        "train": {"a": 7, "b": 5, "c": 1},
        "validation": {"a": 1, "b": 1},
        "test": {"a": 2, "b": 1},
    }


@given(
    counts=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 99), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_random_by_class_is_a_partition_within_one_row_of_every_share(
    counts: list[int], cuts: list[int], seed: int
) -> None:
    fractions = {f"part {at}": cut / sum(cuts) for at, cut in enumerate(cuts)}
    manifest = of_groups({f"class {at}": [1] * count for at, count in enumerate(counts)})
    parts = splits.random_by_class(manifest, fractions, seed)
    assert sorted(path for part in parts.values() for path in paths(part)) == sorted(paths(manifest))
    for at, count in enumerate(counts):
        for name, fraction in fractions.items():
            assert abs((parts[name].rows["label"] == f"class {at}").sum() - fraction * count) < 1


def test_random_by_class_ignores_groups_and_check_disjoint_says_so() -> None:
    manifest = of_groups({"a": [10] * 4, "b": [10] * 4})
    with pytest.raises(InputError, match="8 groups are shared"):
        splits.check_disjoint(splits.random_by_class(manifest, {"train": 0.5, "test": 0.5}, 0))


@given(
    sizes=st.fixed_dictionaries({label: st.lists(st.integers(1, 5), min_size=3, max_size=20) for label in "ab"}),
    k=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_every_group_is_in_exactly_one_test_fold(sizes: dict[str, list[int]], k: int, seed: int) -> None:
    manifest = of_groups(sizes)
    pairs = splits.folds(manifest, k, seed)
    assert len(pairs) == k
    for train, test in pairs:
        splits.check_disjoint({"train": train, "test": test})
        assert sorted(paths(train) + paths(test)) == sorted(paths(manifest))
        assert len(test)
    assert sorted(path for _, test in pairs for path in paths(test)) == sorted(paths(manifest))


def test_folds_have_nearly_equal_class_counts_and_repeat_with_the_seed() -> None:
    sizes = {"a": [1, 2, 3] * 20, "b": [2] * 20, "c": [1] * 10}
    one, two = (splits.folds(of_groups(sizes, order), 5, 3) for order in (1, 2))
    assert [paths(test) for _, test in one] == [paths(test) for _, test in two]
    for _, test in one:
        counts = test.rows["label"].value_counts()
        for label, groups in sizes.items():
            assert abs(counts[label] - sum(groups) / 5) <= max(groups)


def test_more_folds_than_groups_of_a_class_are_refused() -> None:
    with pytest.raises(InputError, match="class 'b' has only 2 groups; ask for at most 2 folds"):
        splits.folds(of_groups({"a": [3] * 9, "b": [5, 5]}), 3, 0)
    with pytest.raises(InputError, match="at least 2"):
        splits.folds(of_groups({"a": [3] * 9}), 1, 0)


def test_a_shared_group_is_named_with_its_two_parts_and_all_are_counted() -> None:
    manifest = of_groups({"a": [2] * 4})
    first = pd.Series([True, False] * 4)
    with pytest.raises(InputError) as caught:
        splits.check_disjoint({"train": manifest.where(first), "test": manifest.where(~first)})
    lines = str(caught.value).splitlines()
    assert lines[0] == "group 'a-0' is in train (1 row) and in test (1 row)"
    assert lines[-1].startswith("4 groups are shared by parts")


@pytest.mark.parametrize(("column", "noun"), [("case", "case"), ("path", "image")])
def test_a_shared_case_or_image_stops_too(column: str, noun: str) -> None:
    one = manifests.from_records([{"path": "a.jpg", column: "same"}], Path())
    two = manifests.from_records([{"path": "b.jpg", column: "same"}], Path())
    with pytest.raises(InputError, match=f"^{noun} 'same' is in x .* and in y"):
        splits.check_disjoint({"x": one, "y": two})


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="part 'test' gets no rows: too few groups \\(1\\)"):
        splits.grouped(of_groups({"a": [5]}), {"train": 0.9, "test": 0.1}, 0)


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.2, "test": -0.2}, {"a": float("nan")}])
@pytest.mark.parametrize("how", [splits.grouped, splits.random_by_class])
def test_shares_that_do_not_make_one_are_refused(how, fractions: dict[str, float]) -> None:
    with pytest.raises(InputError, match="together they must add up to 1"):
        how(of_groups({"a": [1] * 9}), fractions, 0)


def test_an_empty_manifest_is_refused() -> None:
    empty = of_groups({"a": [1]}).where(pd.Series([False]))
    with pytest.raises(InputError, match="no rows to split"):
        splits.grouped(empty, FRACTIONS, 0)


def test_prescribed_parts_follow_the_split_column_and_drop_nothing() -> None:
    records = [
        {"path": f"{at}", "split": split} for at, split in enumerate(["test", "", "train", "additional", "validation"])
    ]
    parts = splits.prescribed(manifests.from_records(records, Path()))
    assert {name: paths(part) for name, part in parts.items()} == {
        "train": ["2"],
        "validation": ["4"],
        "test": ["0"],
        "additional": ["3"],
        "": ["1"],
    }
    assert list(parts) == ["train", "validation", "test", "additional", ""]
    with pytest.raises(InputError, match="split column is empty"):
        splits.prescribed(of_groups({"a": [1]}))


def test_the_split_column_brings_the_parts_back() -> None:
    parts = splits.grouped(of_groups({"a": [2] * 10, "b": [1] * 10}), FRACTIONS, 0)
    again = splits.prescribed(splits.with_split_column(parts))
    assert {name: paths(part) for name, part in again.items()} == {name: paths(part) for name, part in parts.items()}
