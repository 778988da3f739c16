"""`keras.distribution` on four virtual CPU devices of JAX, against one device."""

import importlib.util

import keras
import numpy as np
import pytest

from kgen.training import layout_map
from tests.checks import models
from tests.checks.processes import in_worker
from tests.models import tiny, tiny_text

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="keras.distribution needs JAX")


def gan():
    """With latents, which are drawn in the step."""
    model = tiny.gan()
    model.compile(keras.optimizers.SGD(0.1))
    return model


def train_on(make_model, data, distribution=None, first=None, epochs=2, **options):
    """`(first weights, last weights, logs, model)` of some epochs, from the same weights and seeds."""
    keras.distribution.set_distribution(distribution)
    try:
        model = models.make(make_model)
        if first is not None:
            # Not as arrays of NumPy: virtual devices would share the memory, and each would train the weights in it.
            model.set_weights([keras.ops.convert_to_tensor(weight) + 0 for weight in first])
        # Copies: training may use the memory of the values that it was given.
        first = [np.array(weight) for weight in model.get_weights()]
        history = models.fit(model, data, 8, epochs, **options).history
        return first, model.get_weights(), history, model
    finally:
        keras.distribution.set_distribution(None)


def assert_same_training(one, other):
    for old, a, b in zip(one[0], one[1], other[1]):
        np.testing.assert_allclose(a, b, atol=1e-6 * max(1.0, np.abs(old).max()))
    assert sum(np.any(old != new) for old, new in zip(one[0], one[1])) > 10
    for name, values in one[2].items():
        np.testing.assert_allclose(other[2][name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_devices_that_share_a_batch_equal_one():
    one, other, parts = in_worker(train_with_data_parallel, backend="jax")
    assert_same_training(one, other)
    assert parts < 0.35, f"each of four devices does {parts:.0%} of the work"


def train_with_data_parallel():
    # 21 images in batches of 8: the last batch has 5, which 4 devices do not divide.
    data = tiny.pictures(21)
    one = train_on(gan, data, validation_data=(data,))
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    other = train_on(gan, data, distribution, validation_data=(data,))
    work = [flops_of_a_step(distribution if shared else None) for shared in (True, False)]
    return one[:3], other[:3], work[0] / work[1]


def flops_of_a_step(distribution):
    """Of one device, for a batch of 64."""
    import jax

    keras.distribution.set_distribution(distribution)
    try:
        model = models.make(gan)
        images = tiny.pictures(64)
        if distribution is not None:
            images = jax.device_put(images, distribution.get_data_layout(images.shape).backend_layout)
        groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
        state = tuple([v.value for v in group] for group in (*groups, model.metrics_variables))
        return jax.jit(model.train_step).lower(state, (images,)).compile().cost_analysis()["flops"]
    finally:
        keras.distribution.set_distribution(None)


def text_to_image():
    model = tiny_text.model()
    model.compile(keras.optimizers.SGD(1e-5))
    return model


@pytest.mark.slow
def test_a_generator_in_parts_equals_a_whole_one():
    pytest.importorskip("tensorflow_text")
    one, other, parts = in_worker(train_with_parts, backend="jax")
    assert_same_training(one, other)
    assert parts["generator"] < 0.7 and parts["average"] < 0.7 and parts["encoder"] == 1.0


def train_with_parts():
    data = tiny_text.pictures(8)
    one = train_on(text_to_image, data, epochs=1)
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"))
    layouts = layout_map(one[3].generator, mesh)
    distribution = keras.distribution.ModelParallel(
        layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
    )
    other = train_on(text_to_image, data, distribution, epochs=1)
    networks = {name: getattr(other[3], name) for name in ("generator", "average", "encoder")}
    return one[:3], other[:3], {name: part_on_a_device(network) for name, network in networks.items()}


def part_on_a_device(network):
    """How much of a network's weights the first device keeps."""
    variables = network.variables
    kept = sum(v.value.addressable_shards[0].data.size for v in variables)
    return kept / sum(v.value.size for v in variables)
