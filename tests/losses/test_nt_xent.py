"""NTXent against NumPy from Eq. 1 of Pal, Xue and Antani, and against pytorch-metric-learning's SimCLR loss."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cervix_tf.losses.nt_xent import NTXent

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "simclr_nt_xent.json").read_text())


def eq_1(embeddings, tau):
    """L of every view, term by term, in float64; rows 2i and 2i + 1 are views of one image."""
    f = np.float64(embeddings)
    losses = []
    for i in range(len(f)):
        j = i + 1 if i % 2 == 0 else i - 1
        below = sum(np.exp(f[i] @ f[k] / tau) for k in range(len(f)) if k != i)
        losses.append(-np.log(np.exp(f[i] @ f[j] / tau) / below))
    return np.array(losses)


def test_the_value_is_eq_1_on_60_random_batches(unit):
    rng = np.random.default_rng(1)
    for _ in range(60):
        images, tau = int(rng.integers(1, 12)), float(rng.choice([0.1, 0.5, 1.0]))
        embeddings = unit(rng, 2 * images, int(rng.integers(2, 9)))
        expected, ignored = eq_1(embeddings, tau), np.zeros(2 * images)
        found = NTXent(tau, reduction=None)(ignored, embeddings)
        # float32 holds a dot product of 1 to 6e-8; divided by tau, times 2: the loss cannot be nearer than 1e-6 of it.
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 / tau)
        assert float(NTXent(tau)(ignored, embeddings)) == pytest.approx(expected.mean(), rel=1e-6, abs=1e-6)
        assert float(NTXent(tau, reduction="sum")(ignored, embeddings)) == pytest.approx(
            expected.sum(), rel=1e-6, abs=1e-5
        )


def test_in_double_precision_it_is_eq_1_to_1e_12(unit):
    rng = np.random.default_rng(2)
    embeddings = np.float64(unit(rng, 16, 5))
    found = NTXent(reduction=None, dtype="float64")(np.zeros(16), embeddings)
    np.testing.assert_allclose(found, eq_1(embeddings, 0.1), rtol=1e-12, atol=1e-12)


def test_value_and_gradient_are_those_of_a_published_implementation(gradient):
    assert ORACLE["made_by"] == "torch 2.13.0+cpu, pytorch-metric-learning 2.9.0"
    assert len(ORACLE["nt_xent"]) == 20
    for batch in ORACLE["nt_xent"]:
        embeddings = np.array(batch["embeddings"], "float32")
        value, found = gradient(NTXent(batch["temperature"]), np.zeros(len(embeddings)), embeddings)
        assert value == pytest.approx(batch["value"], rel=1e-5, abs=2e-6)
        # It stretches its input to length 1 itself, so its gradient has no part along the rows.
        along = np.sum(found * embeddings, axis=1, keepdims=True) * embeddings
        np.testing.assert_allclose(found - along, batch["gradient"], rtol=1e-4, atol=2e-5)


def test_hand_arithmetic_on_the_unit_circle():
    # Both views of one image at 0 degrees, both of the other at 90: each has one like it and two at right angles.
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    expected = -np.log(np.exp(1 / 0.5) / (np.exp(1 / 0.5) + 2))
    np.testing.assert_allclose(NTXent(0.5, reduction=None)(np.zeros(4), embeddings), [expected] * 4, rtol=1e-6)


def test_the_gradient_is_that_of_finite_differences(unit, gradient, finite_differences):
    embeddings = unit(np.random.default_rng(3), 8, 4)
    _, found = gradient(NTXent(), np.zeros(8), embeddings)
    expected = finite_differences(lambda x: eq_1(x, 0.1).mean(), np.float64(embeddings))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_labels_are_not_looked_at(unit):
    embeddings = unit(np.random.default_rng(4), 6, 4)
    assert float(NTXent()(np.zeros(6), embeddings)) == float(NTXent()(np.arange(6), embeddings))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_identical_embeddings_cost_the_logarithm_of_the_number_of_other_views(gradient, dtype):
    value, found = gradient(NTXent(), np.zeros(6), keras.ops.cast(np.full((6, 4), 0.5), dtype))
    assert value == pytest.approx(np.log(5), rel=1e-6)
    assert np.isfinite(np.float32(found)).all()


def test_long_embeddings_do_not_overflow(gradient):
    embeddings = np.float32(100) * np.array([[1, 0], [-1, 0], [0, 1], [0, 1]], "float32")
    value, found = gradient(NTXent(reduction="sum"), np.zeros(4), embeddings)
    # Each view of the first image: ln(exp(-10^5) + 2) + 10^5; those of the second cost nothing.
    assert value == pytest.approx(2e5 + 2 * np.log(2))
    assert np.isfinite(found).all()


def test_an_image_alone_costs_nothing(unit):
    assert float(NTXent()(np.zeros(2), unit(np.random.default_rng(5), 2, 3))) == pytest.approx(0, abs=1e-6)


def test_wrong_arguments_are_refused(unit):
    with pytest.raises(ValueError, match="even number of rows; got 5"):
        NTXent()(np.zeros(5), unit(np.random.default_rng(6), 5, 2))
    with pytest.raises(ValueError, match="above 0; got 0"):
        NTXent(0)


def test_it_comes_back_from_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(NTXent(0.3, reduction="sum")))
    assert (type(again), again.temperature, again.reduction, again.name) == (NTXent, 0.3, "sum", "nt_xent")
