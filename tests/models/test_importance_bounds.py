import keras
import numpy as np
import pytest

from kgen.models.importance_bounds import Draws, importance_bounds, picture_numbers


class Model:
    """Whose weights are what the inputs say, and how often it is asked."""

    def __init__(self):
        self.rows = []

    def bounds(self, inputs):
        raise AssertionError

    def in_batches(self, function, inputs, batch_size, verbose):
        assert function == self.bounds and verbose == 0
        self.rows.append(len(inputs["images"]))
        self.seeds = inputs["seeds"]
        images = inputs["images"][0 : len(inputs["images"])]
        return np.stack([images, np.arange(len(images))], axis=1).astype("float32")


def inputs(count, seed=0):
    images = np.arange(count, dtype="float32")
    return {"images": images, "seeds": np.full(count, seed, "int32"), "indices": np.arange(count, dtype="int32")}


def test_draws_of_a_picture_are_brought_together(monkeypatch):
    model = Model()
    monkeypatch.setattr("kgen.inference.posterior._HELD", 8)
    bounds = importance_bounds(model, inputs(5), 4, batch_size=64)
    np.testing.assert_allclose(bounds[:, 0], np.arange(5), atol=1e-6)
    # Two pictures of four draws at a time.
    np.testing.assert_allclose(bounds[:, 1], [1.5, 5.5, 1.5, 5.5, 1.5])
    assert model.rows == [8, 8, 4]


def test_every_draw_has_a_seed_of_its_own():
    seeds = []
    for seed in (0, 1, 2, -3):
        model = Model()
        importance_bounds(model, inputs(1, seed), 100, batch_size=64)
        assert model.seeds.dtype == np.int32
        seeds.append(model.seeds)
    assert len(np.unique(np.concatenate(seeds))) == 400


def test_picture_numbers():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1)).astype("uint8")
    numbers = picture_numbers(images, (0, 255))
    assert numbers.dtype == np.int32 and len(np.unique(numbers)) == 5
    np.testing.assert_array_equal(picture_numbers(images[2:3], (0, 255)), numbers[2:3])
    np.testing.assert_array_equal(picture_numbers(images / 255.0, (0, 1)), numbers)
    np.testing.assert_array_equal(picture_numbers(keras.ops.convert_to_tensor(images), (0, 255)), numbers)


@pytest.mark.backends
def test_draws_use_the_noise_up_in_order():
    noise = np.arange(24, dtype="float32").reshape(2, 12)
    draws = Draws(keras.ops.convert_to_tensor(noise))
    zeros = keras.ops.zeros((2, 4))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(draws(zeros, zeros)), noise[:, :4])
    mean = keras.ops.ones((2, 2, 2, 2))
    second = keras.ops.convert_to_numpy(draws(mean, mean * np.log(4.0)))
    np.testing.assert_allclose(second, 1 + 2 * noise[:, 4:].reshape(2, 2, 2, 2), rtol=1e-5)
