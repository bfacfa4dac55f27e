"""Tests of whether two models differ on the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_BELOW = 25
"""Discordant rows under which McNemar's test is exact."""
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Test:
    """A two-sided p value and how it came about."""

    p: float
    method: str


def mcnemar(only_first: int, only_second: int) -> Test:
    """McNemar's test: `only_first` rows that only the first model has right, `only_second` the other way.

    Exact binomial under 25 such rows, else chi-squared with continuity correction. Rows must be independent.

    Source: McNemar 1947; Edwards 1948.
    """
    from scipy.stats import binomtest, chi2

    discordant = only_first + only_second
    if discordant == 0:
        return Test(1.0, "McNemar exact: no row is decided differently")
    if discordant < EXACT_BELOW:
        return Test(float(binomtest(only_first, discordant).pvalue), f"McNemar exact, {discordant} discordant rows")
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
    return Test(float(chi2.sf(statistic, 1)), f"McNemar chi-squared, {discordant} discordant rows")


def sign_flip(differences: ArrayLike, groups: ArrayLike, *, draws: int = 10_000, seed: int = 0) -> Test:
    """Permutation test of a mean difference that is zero: whole groups swap their two models at random.

    `differences` is first minus second for each row, (rows,). All sign patterns are
    tried for up to 13 groups that differ, else `draws` random ones. With one row a group
    and differences of -1, 0, 1 this is McNemar's exact test.
    """
    _, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums = np.bincount(member, np.asarray(differences, dtype=np.float64))
    sums = sums[sums != 0]
    if len(sums) == 0:
        return Test(1.0, "sign flips of groups: no group differs")
    observed = abs(sums.sum()) - 1e-9
    if len(sums) <= 13:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        reached = np.abs((2 * patterns - 1) @ sums) >= observed
        return Test(float(reached.mean()), f"sign flips of {len(sums)} differing groups, all patterns")
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(sums))
    beyond = 0
    for start in range(0, draws, step):
        signs = 2 * generator.integers(0, 2, (min(step, draws - start), len(sums))) - 1
        beyond += int((np.abs(signs @ sums) >= observed).sum())
    return Test((beyond + 1) / (draws + 1), f"sign flips of {len(sums)} differing groups, {draws} random patterns")


def delong(first: ArrayLike, second: ArrayLike, positive: ArrayLike) -> tuple[float, float, Test]:
    """AUC of the first scores minus AUC of the second, its standard error, and the test that it is zero.

    All arguments are (rows,) and the rows must be independent. NaN and p = 1 when a side has under two rows. Where all
    rows say the same, so that nothing varies, each row of the smaller side counts as one trial of a sign test.

    Source: DeLong et al. 1988; by ranks: Sun and Xu 2014, algorithm 2.
    """
    from scipy.stats import norm

    truth = np.asarray(positive, dtype=bool)
    scores = np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)])
    if min(truth.sum(), (~truth).sum()) < 2:
        return float("nan"), float("nan"), Test(1.0, "DeLong: under two rows of one side")
    of_positive, of_negative = structural_components(scores, truth)
    covariance = np.cov(of_positive) / truth.sum() + np.cov(of_negative) / (~truth).sum()
    areas = of_positive.mean(1)
    difference = float(areas[0] - areas[1])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    if error < 1e-12:
        trials = int(min(truth.sum(), (~truth).sum()))
        p = 1.0 if abs(difference) < 1e-12 else 2 * 0.5**trials
        return difference, 0.0, Test(p, f"DeLong: no variance; sign test of {trials} rows")
    return difference, error, Test(float(2 * norm.sf(abs(difference) / error)), "DeLong")


def structural_components(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each model, each positive row's share of negatives below it (models, positives), and each
    negative row's share of positives above it (models, negatives); equals count half.

    Source: DeLong et al. 1988, eq. 4 and 5.
    """
    from scipy.stats import rankdata

    hit, miss = scores[:, positive], scores[:, ~positive]
    among_all = rankdata(np.concatenate([hit, miss], axis=1), axis=1)
    of_hit = (among_all[:, : hit.shape[1]] - rankdata(hit, axis=1)) / miss.shape[1]
    of_miss = 1 - (among_all[:, hit.shape[1] :] - rankdata(miss, axis=1)) / hit.shape[1]
    return of_hit, of_miss
