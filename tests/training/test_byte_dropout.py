import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's random bytes", allow_module_level=True)

from kgen.training import SeedGenerator, backend  # noqa: E402
from kgen.training.backend.byte_dropout import can_use  # noqa: E402
from kgen.training.backend.fast_layers import fast_layers  # noqa: E402
from kgen.training.seeds import adopt_seeds  # noqa: E402
from tests.checks import fast_layers as checks  # noqa: E402


def _dropped(layer, inputs, training=True):
    with fast_layers([layer]):
        return layer(inputs, training=training)


@pytest.mark.parametrize(("rate", "policy"), [(0.3, "float32"), (0.5, "float32"), (0.5, "mixed_bfloat16")])
def test_it_drops_at_the_rate_and_keeps_the_mean(rate, policy):
    layer = keras.layers.Dropout(rate, seed=0, dtype=policy)
    inputs = tf.ones((301, 1001), layer.compute_dtype)
    outputs = np.array(tf.cast(_dropped(layer, inputs), "float32"))
    values = np.unique(outputs)
    assert len(values) == 2 and values[0] == 0.0
    assert values[1] == pytest.approx(1 / (1 - round(256 * rate) / 256), rel=1e-2 if "16" in policy else 1e-6)
    assert np.mean(outputs == 0.0) == pytest.approx(rate, abs=4e-3)
    assert outputs.mean() == pytest.approx(1.0, abs=5e-3)
    # Neither rows nor columns go together.
    assert (outputs == 0.0).mean(axis=0).std() < 0.05 and (outputs == 0.0).mean(axis=1).std() < 0.03


def test_the_mask_is_that_of_the_seed_and_of_the_gradient():
    inputs, masks = tf.random.normal((6, 7)), []
    for seed in (1, 1, 2):
        layer = keras.layers.Dropout(0.4, seed=seed)
        adopt_seeds([layer])
        assert type(layer.seed_generator) is SeedGenerator
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = _dropped(layer, inputs)
        masks.append(np.array(tape.gradient(outputs, inputs)))
        np.testing.assert_allclose(outputs, inputs * masks[-1], rtol=1e-6)
        assert np.any(np.array(_dropped(layer, inputs)) != np.array(outputs))
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])
    np.testing.assert_array_equal(_dropped(layer, inputs, training=False), inputs)


def test_which_are_changed():
    assert all(can_use(keras.layers.Dropout(rate)) for rate in (0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9))
    assert not any(can_use(keras.layers.Dropout(rate)) for rate in (0.0, 0.001, 0.01, 0.999, 1.0))
    others = keras.layers.Dropout(0.5, noise_shape=(None, 1)), keras.layers.SpatialDropout2D(0.5)
    assert not any(map(can_use, [*others, keras.layers.GaussianDropout(0.5)]))


def test_a_step_draws_a_byte_for_each_number():
    layer = keras.layers.Dropout(0.5, seed=0)

    def step(data):
        with fast_layers([layer]):
            return layer(data, training=True)

    kinds = checks.operations_of(step, 12)
    assert kinds.count("StatelessRandomUniformFullIntV2") == 1 and "StatelessRandomUniformV2" not in kinds
    assert "call" not in vars(layer)
    in_step = checks.operations_of(
        lambda x: backend.run_step(lambda data: layer(data, training=True), [], (x,), lambda: [layer]), 12
    )
    assert "Bitcast" in in_step
