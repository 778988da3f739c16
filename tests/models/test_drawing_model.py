import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import Upscale
from kgen.models.drawing_model import DrawingModel, seeds_and_indices

SHAPE = (2, 3, 1)


class Shade(DrawingModel):
    """Draws one shade a picture, its seed times ten plus its index."""

    image_shape = SHAPE

    def __init__(self, trained=True, **kwargs):
        super().__init__(**kwargs)
        self.is_trained = trained
        self.drawn = []
        self.built = True

    @property
    def trained(self):
        return self.is_trained

    def draw(self, inputs):
        self.drawn.append(True)
        shades = ops.cast(10 * inputs["seeds"] + inputs["indices"], "uint8")
        return ops.reshape(shades, (-1, 1, 1, 1)) * ops.ones((1, *SHAPE), "uint8")


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
    model = DrawingModel()
    with pytest.raises(NotImplementedError, match="DrawingModel must define trained"):
        _ = model.trained
    with pytest.raises(NotImplementedError, match=r"DrawingModel must define draw\(\)"):
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
    assert model.sampler.image_shape == (4, 6, 1) and Shade().sampler.image_shape == SHAPE
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
