"""FocalLoss against NumPy from Eq. 8 of Buiu et al. 2020."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.losses.focal_loss import FocalLoss


def eq_8(labels, logits, gamma):
    """The sum over samples, one at a time, in float64."""
    total = 0.0
    for label, row in zip(labels, np.float64(logits), strict=True):
        probabilities = np.exp(row) / np.exp(row).sum()
        one_hot = np.eye(len(row))[label]
        total -= one_hot @ ((1 - probabilities) ** gamma * np.log(probabilities))
    return total


def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, 9), rng.normal(0, 3, (9, 4)).astype("float32")


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_the_value_is_eq_8(gamma):
    labels, logits = batch()
    expected = eq_8(labels, logits, gamma)
    assert float(FocalLoss(gamma, reduction="sum")(labels, logits)) == pytest.approx(expected, rel=1e-6)
    assert float(FocalLoss(gamma)(labels, logits)) == pytest.approx(expected / 9, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_the_gradient_is_that_of_finite_differences(gamma):
    labels, logits = batch()
    step = 1e-5
    expected = np.zeros_like(logits, dtype="float64")
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(expected)
        shift[index] = step
        above, below = eq_8(labels, logits + shift, gamma), eq_8(labels, logits - shift, gamma)
        expected[index] = (above - below) / (2 * step)
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = FocalLoss(gamma, reduction="sum")(labels, logits)
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, rtol=1e-4, atol=1e-5)


def test_hand_arithmetic():
    # p = 1/2 and 1/4: (1/2)^2 ln 2 = 0.1732868, (3/4)^2 ln 4 = 0.7797905
    logits = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]).astype("float32")
    assert float(FocalLoss(2.0)(np.array([0, 1]), logits)) == pytest.approx((0.1732868 + 0.7797905) / 2, abs=1e-6)


def test_it_agrees_with_keras_where_keras_does_not_clip():
    labels, logits = batch()
    keras_loss = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    assert float(FocalLoss(2.0)(labels, logits)) == pytest.approx(
        float(keras_loss(keras.ops.one_hot(labels, 4), logits)), rel=1e-5
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_extreme_logits_keep_a_finite_loss_and_the_gradient_of_a_wrong_answer(gamma):
    logits = tf.constant([[200.0, 0.0, 0.0, 0.0], [200.0, 0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = FocalLoss(gamma, reduction="none")(np.array([0, 1]), logits)
    gradient = np.asarray(tape.gradient(losses, logits))
    np.testing.assert_allclose(losses, [0.0, 200.0], rtol=1e-6)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[1], [1.0, -1.0, 0.0, 0.0], atol=1e-6)


def test_probabilities_instead_of_logits():
    labels, logits = batch()
    probabilities = keras.ops.softmax(logits)
    assert float(FocalLoss(2.0, from_logits=False)(labels, probabilities)) == pytest.approx(
        float(FocalLoss(2.0)(labels, logits)), rel=1e-4
    )


def test_labels_in_a_column_and_sample_weights_are_taken():
    labels, logits = batch()
    loss = FocalLoss(1.0)
    assert float(loss(labels[:, None], logits)) == float(loss(labels, logits))
    only_first = np.eye(9)[0]
    assert float(loss(labels, logits, only_first)) == pytest.approx(eq_8(labels[:1], logits[:1], 1.0) / 9, rel=1e-5)


def test_it_comes_back_from_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(FocalLoss(5.0, from_logits=False)))
    assert (type(again), again.gamma, again.from_logits) == (FocalLoss, 5.0, False)


def test_a_negative_gamma_is_refused():
    with pytest.raises(ValueError, match=r"-1"):
        FocalLoss(-1.0)
