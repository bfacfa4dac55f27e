"""How many of something, in words."""

import numpy as np
import pytest

from cervix_tf.wording import amount


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 images"), (1, "1 image"), (np.int64(1), "1 image"), (2, "2 images"), (4049, "4,049 images")],
)
def test_one_thing_is_in_the_singular(count, words):
    assert amount(count, "image") == words


def test_a_plural_that_is_not_regular_is_given():
    assert (amount(1, "woman", "women"), amount(3, "woman", "women")) == ("1 woman", "3 women")
