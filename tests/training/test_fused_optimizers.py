import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.config import AdamConfig, SGDConfig
from cervix_tf.training import fit
from cervix_tf.training.fused_optimizers import FusedAdam, FusedSGD

RNG = np.random.default_rng(0)
START = [RNG.normal(size=shape).astype("float32") for shape in ((5, 7), (7,), ())]
GRADIENTS = [[RNG.normal(size=value.shape).astype("float32") for value in START] for _ in range(6)]
SETTINGS = {"learning_rate": 0.03, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}


def after(optimizer, gradients=GRADIENTS, traced=True):
    """The weights after the gradients, and the optimizer's own variables."""
    weights = [keras.Variable(value) for value in START]
    optimizer.build(weights)

    def apply(*gradients):
        optimizer.apply(list(gradients), weights)

    apply = tf.function(apply) if traced else apply
    for step in gradients:
        apply(*(tf.constant(gradient) for gradient in step))
    return [weight.numpy() for weight in weights], [variable.numpy() for variable in optimizer.variables]


def adam_by_hand(weight_decay):
    weights = [value.astype("float64") for value in START]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    rate, b1, b2, epsilon = SETTINGS.values()
    for t, step in enumerate(GRADIENTS, 1):
        for at, g in enumerate(step):
            weights[at] = weights[at] - rate * weight_decay * weights[at]
            first[at] = b1 * first[at] + (1 - b1) * g
            second[at] = b2 * second[at] + (1 - b2) * g**2
            alpha = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
            weights[at] = weights[at] - alpha * first[at] / (np.sqrt(second[at]) + epsilon)
    return weights


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_adam_follows_the_papers_equations(weight_decay, traced):
    weights, _ = after(FusedAdam(**SETTINGS, weight_decay=weight_decay), traced=traced)
    for ours, expected in zip(weights, adam_by_hand(weight_decay or 0.0), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("traced", [True, False])
def test_momentum_adds_up_what_is_left_of_earlier_gradients(traced):
    optimizer = FusedSGD(0.1, momentum=0.5)
    gradients = [[np.full(value.shape, slope, "float32") for value in START] for slope in (1.0, 2.0)]
    weights, _ = after(optimizer, gradients, traced)
    # v = -0.1, then 0.5 x -0.1 - 0.1 x 2 = -0.25: together -0.35
    for found, start in zip(weights, START, strict=True):
        np.testing.assert_allclose(found, start - 0.35, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (FusedAdam, keras.optimizers.Adam, SETTINGS),
        (FusedAdam, keras.optimizers.Adam, SETTINGS | {"weight_decay": 0.1}),
        (FusedAdam, keras.optimizers.Adam, SETTINGS | {"clipnorm": 0.5}),
        (FusedSGD, keras.optimizers.SGD, {"learning_rate": 0.1}),
        (FusedSGD, keras.optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9}),
        (FusedSGD, keras.optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        (FusedSGD, keras.optimizers.SGD, {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ],
)
def test_weights_and_state_are_those_of_keras(ours, theirs, settings):
    found, expected = after(ours(**settings)), after(theirs(**settings))
    for one, other in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_excluded_weights_do_not_decay():
    layers = [keras.layers.Dense(1, use_bias=False, name=name) for name in ("kept", "fading")]
    for layer in layers:
        layer.build((None, 1))
        layer.set_weights([np.ones((1, 1))])
    weights = [layer.kernel for layer in layers]
    optimizer = FusedAdam(learning_rate=0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["kept"])
    optimizer.build(weights)
    optimizer.apply([tf.zeros((1, 1))] * 2, weights)
    assert [weight.numpy().item() for weight in weights] == pytest.approx([1.0, 0.95])


def test_a_tiny_decay_adds_up_to_what_was_asked_for():
    start = RNG.uniform(0.5, 1.0, 20_000).astype("float32")
    weights, optimizer = [keras.Variable(start)], FusedSGD(0.01, weight_decay=1e-4)
    optimizer.build(weights)
    step = tf.function(lambda: optimizer.apply([tf.zeros(len(start))], weights))
    for _ in range(1000):
        step()
    assert 1 - (weights[0].numpy() / start).mean() == pytest.approx(1000 * 0.01 * 1e-4, rel=0.01)


def test_a_changed_learning_rate_needs_no_new_trace():
    optimizer = FusedAdam(learning_rate=0.1)
    weights, traced = [keras.Variable([1.0])], []
    optimizer.build(weights)

    @tf.function
    def step():
        traced.append(1)
        optimizer.apply([tf.constant([2.0])], weights)

    step()  # the first step of Adam moves by the rate, whatever the gradient
    assert weights[0].numpy() == pytest.approx(0.9, abs=1e-5)
    optimizer.learning_rate = 0.0
    step()
    assert weights[0].numpy() == pytest.approx(0.9, abs=1e-5)
    assert len(traced) == 1


def test_the_gradients_of_a_row_that_was_looked_up_twice_are_added():
    def after_a_step(gradient):
        weights, optimizer = [keras.Variable(np.ones((4, 2), "float32"))], FusedAdam(**SETTINGS)
        optimizer.build(weights)
        optimizer.apply([gradient], weights)
        return weights[0].numpy()

    rows = tf.IndexedSlices(tf.constant([[1e-4, 2e-4], [3e-4, 4e-4]]), tf.constant([2, 2]), tf.constant([4, 2]))
    dense = tf.constant([[0.0, 0.0], [0.0, 0.0], [4e-4, 6e-4], [0.0, 0.0]])
    np.testing.assert_allclose(after_a_step(rows), after_a_step(dense), rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer", [fit.adam(AdamConfig(learning_rate=0.1, weight_decay=0.01)), fit.sgd(SGDConfig(1, 0.1, 0.9, 0.01))]
)
def test_it_is_saved_with_a_network_and_goes_on(tmp_path, optimizer):
    def network():
        keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        made.compile(type(optimizer).from_config(optimizer.get_config()), "mse", jit_compile=False)
        return made

    x, y = RNG.normal(size=(16, 4)), RNG.normal(size=(16, 2))
    whole, half = network(), network()
    whole.fit(x, y, epochs=4, shuffle=False, verbose=0)
    half.fit(x, y, epochs=2, shuffle=False, verbose=0)
    half.save(tmp_path / "half.keras")
    loaded = keras.saving.load_model(tmp_path / "half.keras")
    assert type(loaded.optimizer) is type(optimizer)
    loaded.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for ours, expected in zip(loaded.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs", "times"), [(FusedAdam, keras.optimizers.Adam, 5), (FusedSGD, keras.optimizers.SGD, 2)]
)
def test_a_traced_step_has_far_fewer_operations_than_keras_own(ours, theirs, times):
    def operations(optimizer):
        weights = [keras.Variable(np.zeros((3, 3), "float32")) for _ in range(20)]
        optimizer.build(weights)
        step = tf.function(lambda: optimizer.apply([tf.ones((3, 3))] * 20, weights))
        return len(step.get_concrete_function().graph.get_operations())

    options = {} if ours is FusedAdam else {"momentum": 0.9}
    assert operations(ours(0.1, **options)) < operations(theirs(0.1, **options)) / times


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad"):
        FusedAdam(0.1, amsgrad=True)
