import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import Upscale
from kgen.models.image_model import ImageModel, seeds_and_indices
from kgen.training import Phase

SHAPE = (2, 3, 1)


class Shade(ImageModel):
    """Learns the mean shade of its pictures; draws one shade a picture, its seed times ten plus its index."""

    image_shape = SHAPE

    def __init__(self, trained=True, **kwargs):
        super().__init__(**kwargs)
        self.is_trained = trained
        self.drawn = []
        self.shade = self.add_weight(shape=(), initializer="zeros", name="shade")
        self.built = True

    @property
    def trained(self):
        return self.is_trained

    def phases(self):
        return [Phase("shade", self.shade_loss, [self.shade])]

    def prepare(self, x, y=None):
        return self.to_network(x["images"] if isinstance(x, dict) else x)

    def shade_loss(self, images, training):
        return ops.mean(ops.square(images - self.shade), axis=(1, 2, 3))

    def draw(self, inputs):
        self.drawn.append(True)
        shades = ops.cast(10 * inputs["seeds"] + inputs["indices"], "uint8")
        return ops.reshape(shades, (-1, 1, 1, 1)) * ops.ones((1, *SHAPE), "uint8")


def shade(**kwargs):
    model = Shade(seed=0, **kwargs)
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


# === Pictures in ===
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
    assert model.float_range == (-1, 1) and int(model.optimizer.iterations) == 2
    with pytest.raises(ValueError, match=r"must have shape \(N, 2, 3, 1\); got \(3, 9, 9, 1\)"):
        model.fit(Batches(lambda index: make_batch(np.zeros((3, 9, 9, 1), "uint8"))))


def test_a_tf_data_dataset():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices(floats(0, 1))
    model = shade()
    expected = shade().fit(floats(0, 1), batch_size=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(model.fit(dataset.batch(3), verbose=0).history["loss"], expected["loss"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"got \(2, 3, 1\). Make a batch of .* of a dataset's by batch\(\)"):
        model.fit(dataset)
    with pytest.raises(ValueError, match="fit: the dataset is empty"):
        model.fit(dataset.batch(3).take(0))
    with pytest.raises(ValueError, match="Divide by 255"):
        model.fit(dataset.map(lambda image: image * 255).batch(6))


@pytest.mark.backends
def test_a_generator_may_give_uint8_only():
    model = shade()
    model.fit(((np.zeros((2, *SHAPE), "uint8"),) for _ in range(2)), steps_per_epoch=2, verbose=0)
    assert int(model.optimizer.iterations) == 2
    with pytest.raises(ValueError, match="float images from a source that cannot be looked at beforehand may be in"):
        model.fit(((floats(0, 1),) for _ in range(4)), steps_per_epoch=2, verbose=0)


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
    with pytest.raises(ValueError, match=r"Shade.fit: .* must be in one range; some are in \[0, 1\], the others in"):
        shade().fit(floats(low, 1), validation_data=(floats(other, 1), None))


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_every_door_is_watched(method):
    with pytest.raises(ValueError, match=r"Shade: images must be uint8, or float .* Divide by 255"):
        getattr(shade(), method)(floats(0, 255))
    with pytest.raises(ValueError, match=r"fit: a dict of data must have 'images'; got \['pictures'\]"):
        getattr(shade(), method)({"pictures": floats(0, 1)})


# === Pictures out ===
def asked(count):
    return dict(zip(("seeds", "indices"), seeds_and_indices("Shade", 1, count)))


@pytest.mark.backends
@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
def test_batches_are_put_together(batch_size):
    images = Shade().generate_from(asked(5), batch_size=batch_size)
    assert images.shape == (5, *SHAPE) and images.dtype == "uint8"
    np.testing.assert_array_equal(images[:, 0, 0, 0], [10, 11, 12, 13, 14])


def test_no_retracing_for_other_batch_sizes(tensorflow_backend):
    model = Shade()
    for batch_size in range(1, 9):
        model.generate_from(asked(8), batch_size=batch_size)
    assert len(model.drawn) == 1


@pytest.mark.parametrize("count, verbose, shown", [(8, "auto", False), (9, "auto", True), (2, 1, True), (20, 0, False)])
def test_progress_on_long_work(count, verbose, shown, capsys):
    Shade().generate_from(asked(count), batch_size=1, verbose=verbose)
    assert (f"{count}/{count}" in capsys.readouterr().out) == shown


def test_a_model_that_has_not_been_trained_says_so():
    with pytest.warns(UserWarning, match="Shade has not been trained: expect noise"):
        Shade(trained=False).generate_from(asked(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Shade(trained=True).generate_from(asked(1))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "2"])
def test_batch_size_is_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match="Shade: batch_size must be an integer of at least 1; got"):
        Shade().generate_from(asked(1), batch_size=batch_size)


def test_a_subclass_says_what_it_draws():
    model = ImageModel()
    with pytest.raises(NotImplementedError, match="ImageModel must define trained"):
        _ = model.trained
    with pytest.raises(NotImplementedError, match=r"ImageModel must define draw\(\)"):
        model.draw({})


# === Post-processing ===
class Half(keras.layers.Layer):
    """Halves the values that it is given; in training it fails."""

    def call(self, images, training=None):
        assert training is False
        return images / 2

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.backends
def test_layers_work_between_0_and_1_on_what_was_drawn():
    model = Shade(postprocessing=[Half(), Upscale(2)])
    assert model.picture_shape == (4, 6, 1) and Shade().picture_shape == SHAPE
    drawn = np.array([-1.5, -1.0, 0.0, 1.0, 1.5], "float32").reshape(-1, 1, 1, 1) * np.ones((1, *SHAPE), "float32")
    pictures = ops.convert_to_numpy(model.finished(ops.convert_to_tensor(drawn)))
    assert pictures.shape == (5, 4, 6, 1) and pictures.dtype == "uint8"
    assert np.abs(pictures[:, 0, 0, 0].astype(int) - [0, 0, 64, 128, 128]).max() <= 1
    plain = ops.convert_to_numpy(Shade().finished(ops.convert_to_tensor(drawn)))
    assert plain[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_layers_are_in_the_configuration_and_not_trained():
    model = Shade(postprocessing=[keras.layers.AutoContrast(value_range=(0, 1)), keras.layers.Conv2D(1, 3)])
    config = model.get_config()["postprocessing"]
    again = Shade(postprocessing=config).postprocessing
    assert [type(layer).__name__ for layer in again] == ["AutoContrast", "Conv2D"]
    assert not any(layer.trainable for layer in again)
    with pytest.raises(TypeError, match="Shade: postprocessing must be a list of layers; got function in it"):
        Shade(postprocessing=[asked])


@pytest.mark.backends
def test_keras_stretches_contrast_the_same_everywhere():
    drawn = np.linspace(-0.5, 0.5, 12, dtype="float32").reshape(2, *SHAPE)
    model = Shade(postprocessing=[keras.layers.AutoContrast(value_range=(0, 1))])
    pictures = ops.convert_to_numpy(model.finished(ops.convert_to_tensor(drawn)))
    np.testing.assert_array_equal(pictures.reshape(2, -1), [[0, 51, 102, 153, 204, 255]] * 2)


# === Seeds ===
def test_one_seed_numbers_its_pictures():
    seeds, indices = seeds_and_indices("Shade", 0, 2, images_each=3)
    assert seeds.dtype == indices.dtype == "int32"
    assert seeds.tolist() == [0] * 6 and indices.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", [[7, -8], (7, -8), np.array([7, -8])])
def test_a_seed_each(seed):
    seeds, indices = seeds_and_indices("Shade", seed, 2, images_each=3)
    assert seeds.tolist() == [7, 7, 7, -8, -8, -8] and indices.tolist() == [0, 1, 2, 0, 1, 2]


def test_no_seed_is_another_each_time():
    first, second = (seeds_and_indices("Shade", None, 2)[0].tolist() for _ in range(2))
    assert first[0] == first[1] and first != second


@pytest.mark.parametrize("seed", [1.5, "1", True, [1, 2.5], 2**31, 2**63, 2**70, -(2**31), [0, 2**31]])
def test_what_is_no_seed(seed):
    with pytest.raises(ValueError, match=r"Shade.generate: a seed is an integer below 2\*\*31; got"):
        seeds_and_indices("Shade", seed, 2)


@pytest.mark.parametrize("seed", [[], [1], [1, 2, 3]])
def test_as_many_seeds_as_pictures(seed):
    with pytest.raises(ValueError, match=f"one seed, or one each for the 2; got {len(seed)} seeds"):
        seeds_and_indices("Shade", seed, 2)
