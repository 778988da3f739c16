import keras
import numpy as np
import pytest

from kgen.networks import LadderDecoder, LadderEncoder, MultiscaleEncoder
from tests.checks.layers import check_saved_model_equal, outputs_of
from tests.checks.networks import stir

SMALL = dict(latent_dim=3, levels=3, latent_channels=(2, 1), filters=16, num_heads=2, feature_dim=8)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def moments(encoder, index, encoded, features):
    features = None if features is None else keras.ops.convert_to_tensor(features)
    return keras.ops.convert_to_numpy(encoder.posterior(index, keras.ops.convert_to_tensor(encoded[index]), features))


@pytest.mark.backends
def test_gives_each_level_what_its_posterior_wants():
    encoder = LadderEncoder((8, 8, 3), pooled_dim=4, attention_resolutions=(4,), **SMALL)
    encoder_inputs = {"images": noise(2, 8, 8, 3), "pooled": noise(2, 4)}
    stir(encoder)
    encoded = encoder(encoder_inputs)
    assert [tuple(features.shape) for features in encoded] == [(2, 6), (2, 4, 4, 16), (2, 8, 8, 16)]
    assert encoder.latent_dims == (3, 4 * 4 * 2, 8 * 8) and encoder.feature_shapes == ((4, 4, 16), (8, 8, 16))
    assert moments(encoder, 0, encoded, None).shape == (2, 6)
    for index, shape in enumerate(encoder.feature_shapes, start=1):
        one = moments(encoder, index, encoded, noise(2, *shape))
        other = moments(encoder, index, encoded, noise(2, *shape, seed=1))
        assert one.shape == (2, 2 * encoder.latent_dims[index]) and np.abs(one - other).max() > 1e-3


@pytest.mark.backends
def test_moments_lie_as_the_decoder_reads_them():
    """Changing the image and the features in one position changes its latents' means and variances and no others."""
    encoder = LadderEncoder((8, 8, 3), blocks=0, **SMALL)
    stir(encoder)
    encoded, features = noise(1, 8, 8, 16), noise(1, 8, 8, 16, seed=1)
    before = moments(encoder, 2, {2: encoded}, features)
    encoded[0, 0, 0], features[0, 0, 0] = 5.0, -5.0
    change = np.abs(moments(encoder, 2, {2: encoded}, features) - before)
    for moment in np.split(change, 2, axis=-1):
        grid = moment.reshape(8, 8)
        assert grid[0, 0] > 1e-6 and grid[1:].max() == 0 and grid[:, 1:].max() == 0


def test_one_level_is_the_plain_encoder():
    encoder = LadderEncoder((8, 8, 3), **{**SMALL, "levels": 1, "latent_channels": 4})
    plain = MultiscaleEncoder((8, 8, 3), 6, filters=16, num_heads=2, feature_dim=8)
    plain.set_weights(encoder.get_weights())
    images = noise(2, 8, 8, 3)
    np.testing.assert_array_equal(outputs_of(encoder, images)[0], outputs_of(plain, images)[0])
    assert encoder.heads == [] and encoder.latent_dims == (3,)


@pytest.mark.backends
def test_saves_and_loads_with_its_heads(tmp_path):
    encoder = LadderEncoder((8, 8, 3), decoder_filters=(12, 8), name="reader", **SMALL)
    stir(encoder)
    images = noise(2, 8, 8, 3)
    loaded = check_saved_model_equal(encoder, images, tmp_path / "encoder.keras")
    assert loaded.get_config() == encoder.get_config() and loaded.name == "reader"
    encoded = encoder(images)
    for index, shape in enumerate(((4, 4, 12), (8, 8, 8)), start=1):
        assert encoder.feature_shapes[index - 1] == shape
        pair = [moments(network, index, encoded, noise(2, *shape)) for network in (encoder, loaded)]
        np.testing.assert_array_equal(*pair)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_moments(dtype):
    encoder = LadderEncoder((8, 8, 3), dtype=dtype, **SMALL)
    exact = LadderEncoder((8, 8, 3), **SMALL)
    stir(encoder)
    assert {weight.dtype for weight in encoder.weights} == {"float32"} and exact.get_config() != encoder.get_config()
    exact.set_weights(encoder.get_weights())
    images, features = noise(2, 8, 8, 3), noise(2, 4, 4, 16)
    rounded, wanted = (moments(network, 1, network(images), features) for network in (encoder, exact))
    assert {output.dtype for output in (encoder.outputs[0], *encoder.heads[0].outputs)} == {"float32"}
    assert 0 < np.abs(rounded - wanted).max() < 0.1 * np.abs(wanted).max()


def test_goes_with_the_decoder_of_the_same_arguments():
    for sizes in ({}, {"levels": 1, "latent_channels": 1}, {"filters": (8, 16), "levels": 2, "latent_channels": 3}):
        arguments = {**SMALL, **sizes}
        encoder = LadderEncoder((8, 8, 3), **arguments)
        arguments.pop("feature_dim")
        decoder = LadderDecoder((8, 8, 3), **arguments)
        assert encoder.latent_dims == decoder.latent_dims and encoder.feature_shapes == decoder.feature_shapes


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_shape": (16,)}, "LadderEncoder: image_shape must be"),
        ({"latent_dim": 0}, "LadderEncoder: latent_dim must be an integer of at least 1; got 0"),
        ({"levels": 4}, "LadderEncoder: levels .a vector, and up to 2 grids: 4x4, 8x8. must be an integer from 1 to 3"),
        ({"latent_channels": (1,)}, "LadderEncoder: latent_channels must be"),
        ({"decoder_filters": (8,)}, "LadderEncoder: filters must be one number, or 2"),
    ],
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        LadderEncoder(**{"image_shape": (8, 8, 3), **SMALL, **arguments})
