"""Two replicas of `tf.distribute.MirroredStrategy`, on two logical CPU devices."""

import importlib.util

import keras
import numpy as np
import pytest

from kgen.training import SeedGenerator
from tests.checks import models
from tests.checks.processes import in_worker, replicas
from tests.training import toy

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")


# The last batches have 3 rows and 1 row: two unequal shares, and an empty one.
@pytest.mark.parametrize("make_model, rows", [(toy.quiet_alternating, 43), (toy.quiet, 33)])
def test_replicas_equal_one_device(make_model, rows):
    models.check_replicas(make_model, toy.points(rows))


def test_several_steps_in_one_execution_are_refused():
    refused, fails = in_worker(compiled_for_several_steps, backend="tensorflow")
    assert "Lines.compile: Keras cannot run several steps in one execution" in refused and "=3." in refused
    # Should Keras come to do it, this can go.
    assert "InvalidArgumentError" in fails


def compiled_for_several_steps():
    with replicas().scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", steps_per_execution=3)
    told = []
    try:
        with replicas().scope():
            toy.Lines().compile(steps_per_execution=3)
    except ValueError as error:
        told.append(str(error))
    try:
        model.fit(np.ones((24, 2)), np.ones((24, 1)), batch_size=4, verbose=0)
    except Exception as error:
        told.append(type(error).__name__)
    return told


def test_noise_differs_between_replicas():
    alone, ours, keras_own = in_worker(draw_on_two_replicas, backend="tensorflow")
    for step in range(2):
        np.testing.assert_array_equal(ours[step][0], alone[step])
        assert abs(np.corrcoef(ours[step])[0, 1]) < 0.2
        # Should Keras come to do this itself, kgen's own generator can go.
        np.testing.assert_array_equal(*keras_own[step])
    assert abs(np.corrcoef(ours[0][1], ours[1][1])[0, 1]) < 0.2


def draw_on_two_replicas():
    import tensorflow as tf

    strategy = replicas()
    alone = SeedGenerator(3)
    with strategy.scope():
        ours, keras_own = SeedGenerator(3), keras.random.SeedGenerator(3)

    @tf.function
    def draw(seeds):
        per_replica = strategy.run(lambda: keras.random.normal((500,), seed=seeds))
        return strategy.experimental_local_results(per_replica)

    drawn = [[[part.numpy() for part in draw(seeds)] for _ in range(2)] for seeds in (ours, keras_own)]
    return [keras.random.normal((500,), seed=alone).numpy() for _ in range(2)], *drawn


def test_masks_of_a_plain_dropout_differ_between_replicas():
    first, second = in_worker(dropped_on_two_replicas, backend="tensorflow")
    assert 100 < np.sum(first != second) < 400


def dropped_on_two_replicas():
    """What each replica's dropout leaves of 500 ones in a training step."""
    left = []

    class Dropping(toy.Lines):
        def error(self, line, batch):
            x, y = batch
            if line is self.first:
                left.append(self.dropout(keras.ops.ones((1, 500)), training=True).numpy())
            return super().error(line, batch)

    with replicas().scope():
        model = Dropping()
        model.dropout = keras.layers.Dropout(0.5)
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    models.fit(model, toy.line_data(8), batch_size=8, epochs=1)
    return left[:2]


def test_bad_gradients_of_one_replica_stop_all():
    before, after, finite_after, scales = in_worker(train_on_a_bad_row, backend="tensorflow")
    for old, new in zip(before, after):
        np.testing.assert_array_equal(old, new)
    assert scales == [2.0**14, 2.0**14]
    assert any(np.any(old != new) for old, new in zip(before, finite_after))
    assert all(np.all(np.isfinite(w)) for w in finite_after)


def train_on_a_bad_row():
    keras.config.set_dtype_policy("mixed_float16")
    with replicas().scope():
        model = toy.Lines()
        # Or steps with a bad loss would not come to the optimizers.
        model.compile(keras.optimizers.SGD(0.01), on_nonfinite=None)
    before = model.get_weights()
    x, y = toy.line_data(8)
    bad = y.copy()
    bad[-1] = np.inf
    models.fit(model, (x, bad), batch_size=8, epochs=1)
    after = model.get_weights()
    scales = [float(optimizer.dynamic_scale.numpy()) for optimizer in model.optimizer.optimizers]
    models.fit(model, (x, y), batch_size=8, epochs=1)
    return before, after, model.get_weights(), scales


@pytest.mark.slow
def test_text_to_image_on_two_replicas():
    pytest.importorskip("tensorflow_text")
    losses, validation, shape = in_worker(train_text_to_image, backend="tensorflow")
    assert np.isfinite(losses).all() and losses[-1] < losses[0] and np.isfinite(validation).all()
    assert shape == (2, 16, 16, 3)


def train_text_to_image():
    from kgen.data import CaptionedImages
    from tests.models import tiny_text

    images, captions = tiny_text.pictures(10)
    with replicas().scope():
        model = models.make(tiny_text.compiled)
    # The last batch has 2 pictures, a half for each replica.
    history = model.fit(images, captions, batch_size=4, epochs=6, verbose=0, validation_data=(images, captions)).history
    model.fit(CaptionedImages(images, captions).as_dataset(batch_size=4), verbose=0)
    return history["loss"], history["val_loss"], model.generate(["a red picture", "a blue picture"], seed=1).shape
