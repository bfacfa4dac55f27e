import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated

import hypothesis
import hypothesis.strategies as st
import pytest

from cervix_tf import ranges
from cervix_tf.errors import InputError
from cervix_tf.ranges import BelowOne, Count, Different, FileOr, OneOf, Positive, Range, Rising, Written


@dataclasses.dataclass(frozen=True)
class Inner:
    learning_rate: Positive = 0.1
    beta: BelowOne = 0.9
    kept: int = -5


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = dataclasses.field(default_factory=Inner)
    fold_count: Count = 1
    span: Annotated[tuple[float, float], Range(-1, 1), Rising()] = (0.0, 0.0)
    test_share: float = 0.5
    validation_share: float = 0.25

    def conflicts(self) -> Iterator[tuple[str, str]]:
        return ranges.nothing_left(self, "test_share", "validation_share")


def test_a_sound_configuration_has_no_problems_and_fields_without_limits_may_have_any_value():
    assert list(ranges.problems(Outer(inner=Inner(kept=-1_000_000)))) == []
    ranges.check(Outer())


def test_every_wrong_field_is_named_as_its_option_at_once():
    wrong = Outer(Inner(learning_rate=-1.0, beta=1.0), fold_count=0, span=(1.0, -1.0))
    with pytest.raises(InputError) as raised:
        ranges.check(wrong)
    assert str(raised.value).splitlines() == [
        "--inner.learning-rate -1.0: must be above 0",
        "--inner.beta 1.0: must be at least 0 and below 1",
        "--fold-count 0: must be at least 1",
        "--span 1.0 -1.0: must be the smaller end first, then the larger one",
    ]


def test_what_fields_rule_out_together_is_named_once_each_alone_is_right():
    assert list(ranges.problems(Outer(test_share=0.8))) == [
        "--test-share 0.8: and --validation-share 0.25 leave nothing to train on; lower one of them"
    ]
    assert list(ranges.problems(Outer(test_share=0.8, fold_count=0))) == ["--fold-count 0: must be at least 1"]


@pytest.mark.parametrize(
    ("limit", "right", "wrong"),
    [
        (OneOf("a", "b"), ["a", "b"], ["c", "", "A"]),
        (FileOr("random"), ["random"], ["", "gone.h5", "/"]),
        (FileOr("", "random"), ["", "random"], ["gone.h5"]),
        (Written("all|[1-9][0-9]*", "all or a number"), ["all", "12"], ["0", "-1", "al", "all "]),
        (Different(), [("a",), (1, 2)], [(), (1, 1)]),
        (Rising(), [(0, 0), (-1, 2)], [(2, -1)]),
        (Range(), [1e300, -1], [math.nan, math.inf, -math.inf]),
        (Range(1), [(1, 2), 1], [(1, 0), 0, math.inf]),
    ],
)
def test_each_limit_takes_what_is_right_and_says_what_it_wants_of_the_rest(limit, right, wrong):
    assert [limit.problem(value) for value in right] == [""] * len(right)
    assert all(limit.problem(value) for value in wrong)


def test_a_file_that_is_there_is_taken(tmp_path):
    (tmp_path / "some.h5").touch()
    assert FileOr("random").problem(str(tmp_path / "some.h5")) == ""


ends = st.floats(-1e6, 1e6)


@hypothesis.given(ends, ends, st.booleans(), st.booleans(), st.floats(allow_nan=True, allow_infinity=True))
def test_a_range_holds_what_its_ends_say(low, high, above, below, value):
    limit = Range(low, high, above, below)
    inside = (low < value < high) or (value == low <= high and not above) or (value == high >= low and not below)
    if low == high == value:
        inside = not above and not below
    assert (limit.problem(value) == "") == inside
    assert (limit.problem((value, value)) == "") == inside
