"""WeightedCrossEntropy against NumPy from Eq. 7 of Buiu et al. 2020."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.losses.weighted_cross_entropy import WeightedCrossEntropy

WEIGHTS = [0.1, 0.4, 0.3, 0.2]


def eq_7(labels, logits, weights):
    """The sum over samples, one at a time, in float64."""
    total = 0.0
    for label, row in zip(labels, np.float64(logits), strict=True):
        log_probabilities = row - np.log(np.exp(row).sum())
        total -= np.eye(len(row))[label] @ (np.asarray(weights) * log_probabilities)
    return total


def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, 9), rng.normal(0, 3, (9, 4)).astype("float32")


def test_the_value_is_eq_7():
    labels, logits = batch()
    expected = eq_7(labels, logits, WEIGHTS)
    summed = WeightedCrossEntropy(WEIGHTS, reduction="sum")
    assert float(summed(labels, logits)) == pytest.approx(expected, rel=1e-6)
    assert float(WeightedCrossEntropy(WEIGHTS)(labels, logits)) == pytest.approx(expected / 9, rel=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    labels, logits = batch()
    step = 1e-5
    expected = np.zeros_like(logits, dtype="float64")
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(expected)
        shift[index] = step
        above, below = eq_7(labels, logits + shift, WEIGHTS), eq_7(labels, logits - shift, WEIGHTS)
        expected[index] = (above - below) / (2 * step)
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = WeightedCrossEntropy(WEIGHTS, reduction="sum")(labels, logits)
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, rtol=1e-4, atol=1e-5)


def test_hand_arithmetic():
    # p = 1/2 and 1/4: 0.3 ln 2 + 0.7 ln 4 = 0.2079442 + 0.9704061
    logits = np.log([[0.5, 0.5], [0.75, 0.25]]).astype("float32")
    loss = WeightedCrossEntropy([0.3, 0.7], reduction="sum")
    assert float(loss(np.array([0, 1]), logits)) == pytest.approx(0.2079442 + 0.9704061, abs=1e-6)


def test_equal_weights_of_one_are_plain_cross_entropy():
    labels, logits = batch()
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = WeightedCrossEntropy([1.0] * 4)
    assert float(weighted(labels, logits)) == pytest.approx(float(plain(labels, logits)), rel=1e-6)


def test_new_weights_act_inside_a_traced_function():
    labels, logits = batch()
    loss = WeightedCrossEntropy(WEIGHTS)
    traced = tf.function(lambda: loss(labels, logits))
    traced()
    loss.assign([0.0, 0.0, 0.0, 1.0])
    assert float(traced()) == pytest.approx(eq_7(labels, logits, [0, 0, 0, 1]) / 9, rel=1e-6)
    assert traced.experimental_get_tracing_count() == 1


def test_new_weights_act_in_a_compiled_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    loss = WeightedCrossEntropy(WEIGHTS)
    model.compile(keras.optimizers.SGD(0.1), loss)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(8, 3)), rng.integers(0, 4, 8)
    model.fit(x, labels, epochs=1, verbose=0)
    before = model.get_weights()
    loss.assign([0.0] * 4)
    model.fit(x, labels, epochs=1, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_labels_in_a_column_are_taken():
    labels, logits = batch()
    loss = WeightedCrossEntropy(WEIGHTS)
    assert float(loss(labels[:, None], logits)) == float(loss(labels, logits))


def test_it_comes_back_with_its_present_weights():
    loss = WeightedCrossEntropy(WEIGHTS)
    loss.assign([0.25, 0.5, 0.25, 0.0])
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_array_equal(again.weights, [0.25, 0.5, 0.25, 0.0])


@pytest.mark.parametrize("weights", [[0.5, -0.1], [float("nan"), 1.0], [[0.5, 0.5]]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="one finite number per class"):
        WeightedCrossEntropy(weights)


def test_another_number_of_weights_is_refused():
    with pytest.raises(ValueError, match="4 class weights are needed, got 3"):
        WeightedCrossEntropy(WEIGHTS).assign([0.1, 0.2, 0.7])
