import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import (
    Blur,
    ColorCast,
    Degradation,
    Downscale,
    GaussianNoise,
    JpegCompression,
    LowLight,
    PoissonNoise,
    RandomMask,
)
from tests.checks.layers import check_layer

IMAGES = np.random.default_rng(0).uniform(0.1, 0.9, size=(3, 8, 12, 3)).astype("float32")
# What each is made of, and the shape that it gives.
ALL = {
    GaussianNoise: ({"sigma": (5.0, 50.0)}, IMAGES.shape),
    PoissonNoise: ({"peak": (20.0, 200.0)}, IMAGES.shape),
    Blur: ({"sigma": (0.5, 2.0)}, IMAGES.shape),
    JpegCompression: ({"quality": (20.0, 60.0)}, IMAGES.shape),
    Downscale: ({"factor": 2, "interpolation": "lanczos"}, (3, 4, 6, 3)),
    RandomMask: ({"fraction": (0.2, 0.6), "size": (1, 3)}, (3, 8, 12, 4)),
    LowLight: ({"gain": (0.2, 0.4), "gamma": (1.0, 2.0)}, IMAGES.shape),
    ColorCast: ({"strength": 0.3}, IMAGES.shape),
}
DRAWING = [cls for cls in ALL if cls is not Downscale]


def called(layer, images=IMAGES):
    return ops.convert_to_numpy(layer(images))


@pytest.mark.backends
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_layer(cls):
    arguments, shape = ALL[cls]
    check_layer(cls, {**arguments, "seed": 3}, {"images": IMAGES}, shape, stochastic=cls in DRAWING)


@pytest.mark.backends
@pytest.mark.parametrize("cls", DRAWING, ids=lambda cls: cls.__name__)
def test_a_seed_repeats_draws_and_each_call_has_others(cls):
    first, second = (cls(**ALL[cls][0], seed=7) for _ in range(2))
    once = called(first)
    np.testing.assert_array_equal(once, called(second))
    assert np.abs(called(first) - once).max() > 1e-3
    assert np.abs(called(cls(**ALL[cls][0], seed=8)) - once).max() > 1e-3
    assert once.min() >= 0 and once.max() <= 1


@pytest.mark.backends
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_image_has_draws_of_its_own_and_is_degraded_as_it_is_alone(cls):
    layer = cls(**ALL[cls][0], seed=0)
    same = np.repeat(IMAGES[:1], 3, axis=0)
    drawn = layer.parameters(3, same.shape[1:], layer.seed_generator)
    together = ops.convert_to_numpy(layer.apply(ops.convert_to_tensor(same), drawn))
    for i in range(3):
        alone = layer.apply(ops.convert_to_tensor(same[:1]), {name: each[i : i + 1] for name, each in drawn.items()})
        np.testing.assert_allclose(ops.convert_to_numpy(alone)[0], together[i], atol=1e-5)
    if cls in DRAWING:
        assert np.abs(together[0] - together[1]).max() > 1e-3
        assert all(drawn[name].shape[0] == 3 for name in drawn)


def test_a_shared_generator_is_drawn_from():
    seeds = keras.random.SeedGenerator(5)
    layer = GaussianNoise(20, seed=seeds)
    assert layer.seed_generator is seeds
    first = called(layer)
    assert np.abs(called(layer) - first).max() > 1e-3
    again = GaussianNoise(20, seed=0).degrade(IMAGES, keras.random.SeedGenerator(5))
    np.testing.assert_array_equal(ops.convert_to_numpy(again), first)


@pytest.mark.backends
def test_some_images_stay_as_they_are():
    images = np.repeat(IMAGES, 20, axis=0)
    layer = GaussianNoise(50, seed=0, probability=0.3)
    changed = np.abs(called(layer, images) - images).max(axis=(1, 2, 3)) > 0
    assert 8 <= changed.sum() <= 28
    assert GaussianNoise.from_config(layer.get_config()).probability == 0.3
    np.testing.assert_array_equal(called(GaussianNoise(50, probability=0), images), images)
    # All of them: nothing more is drawn than before there was such a choice.
    np.testing.assert_array_equal(called(Blur((0, 2), seed=1, probability=1)), called(Blur((0, 2), seed=1)))
    with pytest.raises(ValueError, match="RandomMask: .* changes the shape of images.*; got 0.5"):
        RandomMask(0.5, probability=0.5)(IMAGES)
    for wrong in (1.5, -0.1, True, "often"):
        with pytest.raises(ValueError, match=f"Blur: probability must be a number from 0 to 1; got {wrong!r}"):
            Blur(1, probability=wrong)


def test_what_is_wrong():
    with pytest.raises(TypeError, match="Blur: seed must be None, an int or a SeedGenerator; got 'x'"):
        Blur(1, seed="x")
    with pytest.raises(
        ValueError, match="GaussianNoise: images must be .* known height and width; got shape .8, 12, 3."
    ):
        GaussianNoise(5)(IMAGES[0])
    with pytest.raises(NotImplementedError, match="Degradation must define parameters"):
        Degradation()(IMAGES)
    for cls, arguments, said in (
        (GaussianNoise, (300,), "GaussianNoise: sigma must be a number, or .low, high. .* from 0 to 255; got 300"),
        (GaussianNoise, ((30, 10),), "got .30, 10."),
        (PoissonNoise, (0.5,), "peak .* from 1 to inf; got 0.5"),
        (Blur, (-1,), "Blur: sigma"),
        (JpegCompression, (0,), "quality .* from 1 to 100; got 0"),
        (RandomMask, (1.5,), "fraction .* from 0 to 1; got 1.5"),
        (RandomMask, (0.5, 0), "RandomMask: size .* got 0"),
        (LowLight, ("dark",), "LowLight: gain .* got 'dark'"),
        (LowLight, (0.5, 0.5), "LowLight: gamma .* from 1 to inf; got 0.5"),
        (ColorCast, (True,), "strength .* got True"),
        (Downscale, (1,), "Downscale: factor must be an integer of at least 2; got 1"),
        (Downscale, (2, "area"), "Downscale: interpolation must be one of .*'area'"),
    ):
        with pytest.raises(ValueError, match=said):
            cls(*arguments)


def test_a_degradation_of_ones_own_needs_no_config_code():
    @keras.saving.register_keras_serializable(package="mine")
    class Fog(Degradation):
        def __init__(self, share, **kwargs):
            super().__init__(**kwargs)
            self.share = share

        def parameters(self, batch, shape, seed):
            return {}

        def apply(self, images, parameters):
            return images + self.share * (1.0 - images)

    again = Fog.from_config(Fog(0.5, seed=3).get_config())
    assert (again.share, again.seed) == (0.5, 3)
    np.testing.assert_allclose(called(again), 0.5 + 0.5 * IMAGES, atol=1e-6)
