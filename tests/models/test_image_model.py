import concurrent.futures
import gc
import resource
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from kgen.inputs import ImageInput
from kgen.models.image_model import ImageModel
from kgen.training import Phase
from tests.models import tiny

SHAPE = (2, 3, 1)


class Shade(ImageModel):
    """Learns the mean shade of its images."""

    image_shape = SHAPE

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shade = self.add_weight(shape=(), initializer="zeros", name="shade")
        self.image_input = ImageInput("Shade", SHAPE, self.float_scale)
        self.built = True

    def phases(self):
        return [Phase("shade", self.shade_loss, [self.shade])]

    def shade_loss(self, batch, training):
        return ops.mean(ops.square(batch["images"] - self.shade), axis=(1, 2, 3))


def shade():
    model = Shade(seed=0)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def floats(low, high, count=6):
    return np.linspace(low, high, count * 6, dtype="float32").reshape(count, *SHAPE)


class Batches(keras.utils.PyDataset):
    def __init__(self, make_batch):
        super().__init__()
        self.make_batch = make_batch

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.make_batch(index)


# === Images in ===
@pytest.mark.backends
def test_every_range_gives_the_same_losses():
    levels = np.arange(36, dtype="uint8").reshape(6, *SHAPE) * 7
    levels[0, 0, 0] = 0
    history = {
        str(images.dtype) + str(images.min()): shade()
        .fit(images, batch_size=3, shuffle=False, epochs=2, verbose=0)
        .history["loss"]
        for images in (levels, levels / np.float32(255), levels / np.float32(127.5) - 1)
    }
    assert len(history) == 3
    for losses in history.values():
        np.testing.assert_allclose(losses, next(iter(history.values())), rtol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize(
    "make_batch",
    [
        lambda images: images,
        lambda images: (images, np.zeros(3)),
        lambda images: {"images": images},
        lambda images: ({"images": images},),
    ],
)
def test_any_form_of_batches(make_batch):
    model = shade()
    model.fit(Batches(lambda index: make_batch(floats(-1, 1)[3 * index : 3 * index + 3])), verbose=0)
    assert model.image_input.float_range == (-1, 1) and int(model.optimizer.iterations) == 2
    with pytest.raises(ValueError, match=r"must have shape \(N, 2, 3, 1\); got \(3, 9, 9, 1\)"):
        model.fit(Batches(lambda index: make_batch(np.zeros((3, 9, 9, 1), "uint8"))))


def test_a_tf_data_dataset():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices(floats(0, 1))
    model = shade()
    expected = shade().fit(floats(0, 1), batch_size=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(model.fit(dataset.batch(3), verbose=0).history["loss"], expected["loss"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"got \(2, 3, 1\). Make a batch: .*, batch\(\) for a dataset"):
        model.fit(dataset)
    with pytest.raises(ValueError, match="Shade: the dataset is empty"):
        model.fit(dataset.batch(3).take(0))
    with pytest.raises(ValueError, match="Divide by 255"):
        model.fit(dataset.map(lambda image: image * 255).batch(6))


@pytest.mark.backends
def test_a_generator_may_give_uint8_only():
    model = shade()
    model.fit(((np.zeros((2, *SHAPE), "uint8"),) for _ in range(2)), steps_per_epoch=2, verbose=0)
    assert int(model.optimizer.iterations) == 2
    with pytest.raises(ValueError, match=r"Shade: the range of float images from .* value_range=\(0, 1\)"):
        model.fit(((floats(0, 1),) for _ in range(4)), steps_per_epoch=2, verbose=0)
    # Anew: on JAX, Keras loses the weights of a model whose first step raises an error.
    model = shade()
    model.fit(((floats(-1, 1),) for _ in range(4)), steps_per_epoch=2, value_range=(-1, 1), verbose=0)
    assert model.image_input.float_range == (-1, 1)


@pytest.mark.parametrize("value_range", [(0, 1), [-1, 1]])
def test_the_range_of_images_without_a_negative_value_may_be_said(value_range):
    bright = floats(0.25, 1)
    error = np.mean(((bright if value_range == [-1, 1] else 2 * bright - 1) - 0.5) ** 2)
    model = shade()
    model.shade.assign(0.5)
    model.compile(keras.optimizers.SGD(0.0))
    for method in ("evaluate", "test_on_batch"):
        kwargs = {"verbose": 0} if method == "evaluate" else {}
        model.reset_metrics()
        found = getattr(model, method)(bright, value_range=value_range, **kwargs)
        np.testing.assert_allclose(found, error, rtol=1e-5)
        assert model.image_input.float_range is None
    history = model.fit(bright, validation_data=bright, value_range=value_range, verbose=0).history
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], error, rtol=1e-5)
    assert model.image_input.float_range == tuple(value_range)
    model.reset_metrics()
    np.testing.assert_allclose(model.train_on_batch(bright), error, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(bright, verbose=0), error, rtol=1e-5)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_range_that_cannot_be(method):
    with pytest.raises(ValueError, match=r"Shade: value_range is \(0, 1\), but images have values from -1 to 1"):
        getattr(shade(), method)(floats(-1, 1), value_range=(0, 1))
    with pytest.raises(ValueError, match=r"Shade: value_range must be None, \(0, 1\) or \(-1, 1\); got \(0, 255\)"):
        getattr(shade(), method)(floats(0, 1), value_range=(0, 255))


@pytest.mark.backends
def test_the_range_may_change_between_calls():
    model = shade()
    model.shade.assign(0.5)
    images = floats(-1, 1)
    for given in (images, (images + 1) / 2, images):
        error = np.mean((np.float64(images) - 0.5) ** 2)
        np.testing.assert_allclose(model.evaluate(given, verbose=0), error, rtol=1e-5)
        np.testing.assert_allclose(model.test_on_batch(given), error, rtol=1e-5)
        model.reset_metrics()


@pytest.mark.backends
def test_validation_data_are_examined_too():
    model = shade()
    history = model.fit(floats(-1, 1), validation_data=floats(-1, 1), verbose=0).history
    assert set(history) == {"loss", "val_loss"}
    model.fit(floats(-1, 1), validation_data=(np.zeros((2, *SHAPE), "uint8"),), verbose=0)
    with pytest.raises(ValueError, match=r"\(N, 2, 3, 1\); got \(6, 1, 3, 1\)"):
        model.fit(floats(-1, 1), validation_data=floats(-1, 1)[:, :1])


@pytest.mark.parametrize("low, other", [(-1, 0), (0, -1)])
def test_validation_data_in_the_other_range(low, other):
    with pytest.raises(
        ValueError, match=r"Shade.fit: .* must be in the same range; some are in \[0, 1\], the others in"
    ):
        shade().fit(floats(low, 1), validation_data=(floats(other, 1), None))


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_every_door_is_watched(method):
    with pytest.raises(ValueError, match=r"Shade: images must be uint8, or float .* Divide by 255"):
        getattr(shade(), method)(floats(0, 255))
    with pytest.raises(ValueError, match=r"Shade: a dict of data must have the key 'images'; got \['pictures'\]"):
        getattr(shade(), method)({"pictures": floats(0, 1)})


# === What a call does not change ===
@pytest.mark.backends
@pytest.mark.parametrize("method", ["evaluate", "test_on_batch"])
@pytest.mark.parametrize("low", [0, -1, None])
def test_a_call_in_one_range_is_the_same_before_and_after_a_call_in_the_other(method, low):
    model = shade()
    model.shade.assign(0.5)
    if low is not None:
        model.compile(keras.optimizers.SGD(0.0))
        model.fit(floats(low, 1), verbose=0)
    ask = getattr(model, method)
    kwargs = {"verbose": 0} if method == "evaluate" else {}
    unit, signed = floats(0, 1), floats(-1, 1)
    expected = {
        "unit": np.mean(((unit if low == -1 else 2 * unit - 1) - 0.5) ** 2),
        "signed": np.mean((signed - 0.5) ** 2),
    }
    for name, images in (("unit", unit), ("signed", signed), ("unit", unit), ("signed", signed)):
        model.reset_metrics()
        np.testing.assert_allclose(ask(images, **kwargs), expected[name], rtol=1e-5)
    assert model.image_input.float_range == (None if low is None else (low, 1))


@pytest.mark.backends
def test_float_validation_beside_uint8_is_in_its_own_range():
    levels = np.arange(36, dtype="uint8").reshape(6, *SHAPE) * 7
    for other in (levels / np.float32(255), levels / np.float32(127.5) - 1):
        model = shade()
        history = model.fit(levels, validation_data=(other,), verbose=0).history
        error = np.mean((levels / 127.5 - 1 - float(model.shade.value)) ** 2)
        np.testing.assert_allclose(history["val_loss"], [error], rtol=1e-5)


def test_floats_of_a_generator_are_refused_after_floats_of_an_array_too():
    model = shade()
    model.evaluate(floats(0, 1), verbose=0)
    with pytest.raises(ValueError, match="Shade: the range of float images from a generator is unknown"):
        model.evaluate(((floats(0, 1),) for _ in range(2)), steps=2, verbose=0)


# === What a subclass says ===
def test_a_subclass_says_what_it_generates_answers_and_serves():
    model = shade()
    for call in (lambda: model.counterparts({}, False), lambda: model.judged({}), lambda: model.serve()):
        with pytest.raises(NotImplementedError, match="Shade must define"):
            call()


def test_quantization_is_refused():
    with pytest.raises(NotImplementedError, match=r"Shade.quantize: .*save_to_preset\(directory, dtype='int8'\)"):
        Shade().quantize("int8")


# === Many calls ===
@pytest.mark.slow
@pytest.mark.backends
def test_threads_get_their_own_images():
    model, other, seeds = tiny.gan(), tiny.gan(), range(24)
    other.set_weights(model.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [other.generate(3, seed=seed, verbose=0) for seed in seeds]
        # The first calls, in which graphs are made, come together.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda seed: model.generate(3, seed=seed, batch_size=1 + seed % 3, verbose=0), seeds))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.astype(int), other, atol=1)


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says how much memory there is")
def test_many_calls_leave_nothing_behind():
    model = tiny.gan()

    def megabytes(calls):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i in range(calls):
                model.generate(1 + i % 5, seed=i, verbose=0)
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    before = megabytes(200)
    assert megabytes(500) - before < 5
