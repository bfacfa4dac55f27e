import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cervix_tf.metrics import intervals, roc


def counted_pair_by_pair(score, positive, times):
    """AUC and average precision of the rows, each taken as often as `times` says, by their definitions alone."""
    rows = [
        (value, truth)
        for value, truth, n in zip(score.tolist(), positive.tolist(), times.tolist(), strict=True)
        for _ in range(int(n))
    ]
    hits, misses = ([value for value, truth in rows if truth is side] for side in (True, False))
    pairs = [1.0 if hit > miss else 0.5 if hit == miss else 0.0 for hit in hits for miss in misses]
    precision = [sum(hit >= at for hit in hits) / sum(value >= at for value, _ in rows) for at in hits]
    return [float(np.mean(values)) if values else np.nan for values in (pairs, precision)]


rows_and_draws = st.tuples(st.integers(1, 25), st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 1000]))


@given(rows_and_draws)
@settings(max_examples=200, deadline=None)
def test_areas_are_those_of_every_pair_counted_also_among_equals_and_without_a_side(case):
    count, seed, values = case
    generator = np.random.default_rng(seed)
    score, positive = generator.integers(0, values, count) / values, generator.random(count) < 0.4
    weights = generator.poisson(1, (4, count)).astype(float)
    found = roc.Ranking(score, positive).areas(weights)
    expected = np.array([counted_pair_by_pair(score, positive, times) for times in weights]).T
    assert np.stack(found) == pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True)


def test_draws_that_go_in_parts_give_what_they_give_together(monkeypatch):
    generator = np.random.default_rng(4)
    ranking = roc.Ranking(generator.random(90).round(2), generator.random(90) < 0.3)
    weights = generator.poisson(1, (50, 90)).astype(float)
    together = ranking.areas(weights)
    monkeypatch.setattr(intervals, "_CHUNK", 200)
    assert np.array_equal(ranking.areas(weights), together)


def test_the_pairs_of_a_million_rows_are_counted_without_overflow():
    rows = 1_000_000
    positive = np.arange(rows) >= rows // 2
    area, precision = roc.Ranking(np.arange(rows) / rows, positive).areas(np.full((1, rows), 3.0))
    assert (area.tolist(), precision.tolist()) == ([1.0], [1.0])
