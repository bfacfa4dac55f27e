"""The share of inputs at which a gate alarms, with an interval that knows which of them belong together."""

import numpy as np
import pytest

from cervix_tf.evaluate import alarms
from cervix_tf.metrics import predictions
from cervix_tf.quality import Problem

DARK = (Problem("dark"),)


def share_of(alarm, groups):
    rows = [[0.8, 0.2]] * len(alarm)
    names = [f"{at}.png" for at in range(len(alarm))]
    found = predictions.from_arrays(names, rows, ("normal", "cancer"), groups=groups)
    return alarms.summary(found, [DARK * bool(each) for each in alarm], resamples=500)["alarms"]


def test_images_of_one_woman_at_fault_together_are_one_finding():
    women = np.arange(40) < 10
    apart = share_of(women, [f"w{at}" for at in range(40)])
    together = share_of(np.repeat(women, 8), [f"w{at // 8}" for at in range(320)])
    assert apart["value"] == together["value"] == 0.25 and (apart["n"], together["n"]) == (40, 320)
    assert apart["method"] == "Wilson 95%" and "cluster bootstrap 95%, 40 groups" in together["method"]
    width = apart["high"] - apart["low"]
    assert together["high"] - together["low"] == pytest.approx(width, rel=0.15)  # not 1 / sqrt(8) of it


def test_no_alarm_among_women_of_many_images_is_as_uncertain_as_there_are_women():
    found = share_of(np.zeros(200, bool), [f"w{at // 10}" for at in range(200)])
    assert found["value"] == 0 and found["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
