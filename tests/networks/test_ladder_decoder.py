import keras
import numpy as np
import pytest

from kgen.networks import LadderDecoder
from tests.checks.layers import check_saved_model_equal, outputs_of
from tests.checks.networks import check_precision, check_training, stir

SMALL = dict(latent_dim=3, levels=3, latent_channels=2, filters=16, num_heads=2, condition_dim=8)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def decoder(image_shape=(8, 8, 3), **kwargs):
    model = LadderDecoder(image_shape, **{**SMALL, **kwargs})
    stir(model)
    return model


@pytest.mark.backends
@pytest.mark.parametrize(
    "image_shape, arguments, latent_dims",
    [
        ((16, 16, 3), {}, (3, 4 * 4 * 2, 8 * 8 * 2)),
        ((8, 12, 1), {"levels": 1, "attention_resolutions": (4, 8)}, (3,)),
        ((28, 28, 1), {"start": 7, "patch": 2, "latent_channels": (3, 1)}, (3, 7 * 7 * 3, 14 * 14)),
        ((16, 16, 3), {"levels": 4, "blocks": (2, 1, 0), "filters": (16, 8, 8)}, (3, 32, 128, 512)),
    ],
)
def test_gives_images_from_all_latents(image_shape, arguments, latent_dims):
    model = decoder(image_shape, **arguments)
    assert model.latent_dims == latent_dims and model.output_shape == (None, *image_shape)
    latents = noise(2, sum(latent_dims))
    (images,) = outputs_of(model, latents)
    for level in range(len(latent_dims)):
        first = sum(latent_dims[:level])
        changed = latents.copy()
        changed[:, first : first + latent_dims[level]] *= -1
        assert np.abs(outputs_of(model, changed)[0] - images).max() > 1e-3


@pytest.mark.backends
def test_what_every_network_owes(tmp_path):
    arguments = dict(pooled_dim=4, attention_resolutions=(4,), name="painter")
    model = decoder(**arguments)
    given = {"latents": noise(3, 3 + 32 + 128), "pooled": np.eye(4, dtype="float32")[:3]}
    (images,) = outputs_of(model, given)
    others = outputs_of(model, {**given, "pooled": np.roll(given["pooled"], 1, axis=0)})[0]
    assert np.abs(others - images).max() > 1e-3
    alone = outputs_of(model, {name: array[1:2] for name, array in given.items()})[0]
    np.testing.assert_allclose(alone[0], images[1], rtol=1e-4, atol=1e-5)
    loaded = check_saved_model_equal(model, given, tmp_path / "decoder.keras")
    assert loaded.get_config() == model.get_config() and loaded.name == "painter"
    assert len({id(weight) for weight in model.weights}) == len(model.weights) == len(loaded.weights)
    check_precision(lambda: LadderDecoder((8, 8, 3), **{**SMALL, **arguments}), model, given)
    check_training(model, given)


def test_on_the_way_down_latents_are_chosen_by_what_is_above():
    model = decoder(all_scales=True, patch=1)
    latents, seen = noise(2, 3 + 32 + 128), []

    def latents_of(level, features):
        seen.append(None if features is None else tuple(features.shape[1:]))
        first = sum(model.latent_dims[:level])
        return keras.ops.convert_to_tensor(latents[:, first : first + model.latent_dims[level]])

    images = model.descend(latents_of)
    assert seen == [None, *model.feature_shapes] == [None, (4, 4, 16), (8, 8, 16)]
    assert model.resolutions == (4, 8) and [tuple(image.shape) for image in images] == [(2, 4, 4, 3), (2, 8, 8, 3)]
    images = [keras.ops.convert_to_numpy(image) for image in images]
    np.testing.assert_allclose(images[-1], outputs_of(model, latents)[0], rtol=1e-5, atol=1e-5)
    for image, scale in zip(images, model.scales(latents), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(scale), image, rtol=1e-5, atol=1e-5)
    # A finer level changes nothing above it.
    latents[:, 35:] *= -1
    coarse, fine = (keras.ops.convert_to_numpy(scale) for scale in model.scales(latents))
    np.testing.assert_array_equal(coarse, images[0])
    assert np.abs(fine - images[1]).max() > 1e-3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_shape": (16, 16)}, "LadderDecoder: image_shape must be"),
        ({"latent_dim": 0}, "LadderDecoder: latent_dim must be an integer of at least 1; got 0"),
        ({"levels": 0}, "levels .a vector, and up to 2 grids: 4x4, 8x8. must be an integer from 1 to 3; got 0"),
        ({"levels": 4}, "levels .a vector, and up to 2 grids: .* must be an integer from 1 to 3; got 4"),
        ({"latent_channels": (1, 2, 3)}, r"or 2, one for each level but the first; got \[1, 2, 3\]"),
        ({"latent_channels": 0}, "latent_channels must be an integer of at least 1; got 0"),
        ({"attention_resolutions": (7,)}, r"no stage has attention_resolutions \[7\]"),
        ({"output_activation": "relu"}, "output_activation must be 'linear' or 'tanh'; got 'relu'"),
    ],
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        LadderDecoder(**{"image_shape": (8, 8, 3), **SMALL, **arguments})
