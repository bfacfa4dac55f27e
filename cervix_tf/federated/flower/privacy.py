"""What noise is worth: epsilon of a number of noisy means."""

from __future__ import annotations

import math

import scipy.optimize
import scipy.special


def epsilon(noise_multiplier: float, releases: int, delta: float) -> float:
    """Epsilon of (epsilon, delta)-differential privacy after `releases` means with Gaussian noise.

    Neighbors are federations in which one site takes part or not. The sum of the clipped changes is divided by a
    number that does not depend on who takes part, that of the sites in the settings: then one site moves the mean by at
    most its share of the clipping norm, which is what the noise is measured by. k Gaussian releases with noise z
    times the sensitivity are exactly one with noise z / sqrt(k), so the figure is exact, no bound.

    Source: McMahan et al. 2018, lemma 1 (the fixed divisor); Balle and Wang 2018, theorem 8; Dong, Roth, Su 2022,
    corollary 3.3.
    """
    if releases == 0:
        return 0.0
    mu = math.sqrt(releases) / noise_multiplier

    def excess(eps: float) -> float:
        """log of delta(eps), minus log of the wanted delta; computed in logarithms, since exp(eps) can be huge."""
        first = scipy.special.log_ndtr(mu / 2 - eps / mu)
        second = eps + scipy.special.log_ndtr(-mu / 2 - eps / mu)
        return first + math.log(-math.expm1(min(second - first, -1e-300))) - math.log(delta)

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(scipy.optimize.brentq(excess, 0.0, high, xtol=1e-9))
