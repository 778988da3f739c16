from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from kgen.inference.compiled_graphs import CompiledGraphs
from kgen.layers import GaussianNoise, Sharpen
from kgen.models import ImageRestorer
from tests.models import tiny


class Model:
    """What the graphs ask of an `ImageModel`; counts how often a graph is traced."""

    def __init__(self, weight=2.0, image_shape=(1,)):
        self.weight = keras.Variable(weight, trainable=False)
        self.variables = [self.weight]
        self.constant, self.prior = object(), None
        self.image_input = SimpleNamespace(constants=lambda: [self.constant], image_shape=image_shape)
        self.sampler = SimpleNamespace(constants=lambda: [self.prior])
        self.test_function = self.train_function = "compiled"
        self.traced = 0
        self.graphs = CompiledGraphs(self)

    def doubled(self, inputs):
        self.traced += 1
        return ops.cast(inputs["images"], "float32") * self.weight


NUMBERS = np.arange(1, 6, dtype="float32")[:, None]


@pytest.mark.backends
@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_batches_of_any_size_come_to_the_same(batch_size):
    found = Model().graphs.in_batches(Model().doubled, {"images": NUMBERS}, batch_size, verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), 2 * NUMBERS)


def test_a_graph_reads_the_weights_as_they_are_and_is_traced_once(tensorflow_backend):
    model = Model()
    for weight in (2.0, 3.0):
        model.weight.assign(weight)
        found = model.graphs.in_batches(model.doubled, {"images": NUMBERS}, verbose=0)
        np.testing.assert_array_equal(found, weight * NUMBERS)
    assert model.traced == 1


@pytest.mark.parametrize("image_shape, graphs", [((None, None, 3), 1), ((8, 6, 3), 4)])
def test_one_graph_for_images_of_any_size(tensorflow_backend, image_shape, graphs):
    model = Model(image_shape=image_shape)
    for size in ((8, 6), (8, 7), (9, 6), (30, 2)):
        images = np.random.default_rng(0).uniform(size=(2, *size, 3)).astype("float32")
        found = model.graphs.in_batches(model.doubled, {"images": images}, verbose=0)
        np.testing.assert_array_equal(found, 2 * images)
    assert model.traced == graphs


def test_a_layer_that_must_know_the_size(tensorflow_backend):
    images, inputs = np.random.default_rng(0).uniform(size=(2, 8, 6, 3)).astype("float32"), keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same")(Sharpen(0.3)(inputs)))
    restorer = ImageRestorer([GaussianNoise()], network=network)
    for size in (8, 7):
        assert restorer.restore(images[:, :size], verbose=0).shape == (2, size, 6, 3)


@pytest.mark.parametrize("name", ["constant", "prior"])
def test_another_constant_makes_graphs_anew(tensorflow_backend, name):
    model = Model()
    model.graphs.in_batches(model.doubled, {"images": NUMBERS}, verbose=0)
    model.test_function = model.train_function = "compiled"
    model.graphs.forget_stale()
    assert model.test_function == model.train_function == "compiled"
    setattr(model, name, object())
    model.graphs.in_batches(model.doubled, {"images": NUMBERS}, verbose=0)
    assert model.traced == 2 and model.test_function is model.train_function is None


def test_a_model_without_a_sampler():
    model = Model()
    model.sampler = None
    model.graphs.forget_stale()
    assert model.graphs.constants == [model.constant]


@pytest.mark.backends
def test_weights_that_are_not_numbers_are_told_of():
    model = Model(np.nan)
    with pytest.raises(FloatingPointError, match=r"^Model: "):
        model.graphs.in_batches(model.doubled, {"images": NUMBERS}, verbose=0)


def test_a_batch_size_below_one():
    with pytest.raises(ValueError, match="Model: batch_size must be"):
        Model().graphs.in_batches(Model().doubled, {"images": NUMBERS}, batch_size=0)


def test_a_training_keeps_its_function(tensorflow_backend):
    model = Model()
    model.graphs.forget_stale()
    with model.graphs.in_training():
        model.train_function = "compiled"
        model.prior = object()
        model.graphs.forget_stale()
        assert model.train_function == "compiled" and model.test_function is None
    model.graphs.forget_stale()
    assert model.train_function is None


def test_images_in_a_callback_do_not_end_a_training(tensorflow_backend):
    gan, images = tiny.gan(), tiny.pictures(8)
    gan.compile()
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: gan.evaluate(images, verbose=0))

    def batches():
        while True:
            yield (images,)

    history = gan.fit(batches(), steps_per_epoch=2, epochs=3, callbacks=[stop], verbose=0)
    assert history.epoch == [0, 1, 2]
