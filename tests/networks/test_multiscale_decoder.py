import keras
import numpy as np
import pytest

from kgen.networks import MultiscaleDecoder
from tests.checks.layers import check_saved_model_equal, outputs_of

SMALL = dict(filters=16, num_heads=2, condition_dim=12)
TEXT = dict(pooled_dim=6, token_dim=10, **SMALL)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def text_inputs(batch=3):
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], "int32")[:batch]
    latents, pooled, tokens = noise(batch, 5), noise(batch, 6, seed=1), noise(batch, 4, 10, seed=2)
    return {"latents": latents, "pooled": pooled, "tokens": tokens, "mask": mask}


def open_modulations(model):
    """Projections of a condition begin at zero; give them something, as training would."""
    for weight in model.trainable_weights:
        if "scale_and_shift" in weight.path:
            weight.assign(0.3 * noise(*weight.shape, seed=3))


@pytest.mark.backends
@pytest.mark.parametrize(
    "image_shape, arguments",
    [
        ((32, 32, 3), {}),
        ((28, 28, 1), {"start": 7, "attention_resolutions": (7, 14)}),
        ((16, 24, 4), {"attention_resolutions": (), "filters": (20, 12, 8), "blocks": (2, 1, 0)}),
        ((32, 32, 3), {"start": 8, "patch": 2, "blocks": (2, 1), "normalization": "group"}),
    ],
)
def test_gives_images_of_any_reachable_shape(image_shape, arguments):
    decoder = MultiscaleDecoder(image_shape, latent_dim=5, **{**SMALL, **arguments})
    assert decoder.output_shape == (None, *image_shape)
    (images,) = outputs_of(decoder, noise(2, 5))
    assert images.shape == (2, *image_shape)
    assert np.all(np.isfinite(images)) and np.abs(images[0] - images[1]).max() > 1e-3


@pytest.mark.backends
def test_an_image_at_every_scale_on_request():
    decoder = MultiscaleDecoder((32, 48, 3), latent_dim=5, patch=2, all_scales=True, output_activation="tanh", **SMALL)
    images = outputs_of(decoder, 10 * noise(2, 5))
    assert decoder.resolutions == (8, 16, 32)
    assert [image.shape for image in images] == [(2, 8, 12, 3), (2, 16, 24, 3), (2, 32, 48, 3)]
    assert max(np.abs(image).max() for image in images) <= 1


@pytest.mark.backends
def test_reads_latents_pooled_condition_and_real_tokens():
    decoder = MultiscaleDecoder((16, 16, 3), latent_dim=5, **TEXT)
    open_modulations(decoder)
    inputs = text_inputs()
    (images,) = outputs_of(decoder, inputs)
    for name in ("latents", "pooled", "tokens"):
        (others,) = outputs_of(decoder, {**inputs, name: -inputs[name]})
        change = np.abs(others - images).max(axis=(1, 2, 3))
        assert np.all(change[:2] > 1e-3)
        assert (change[2] > 1e-3) == (name != "tokens")  # the last row's mask hides all tokens

    padded = {**inputs, "tokens": np.pad(inputs["tokens"], ((0, 0), (0, 3), (0, 0)), constant_values=9.0)}
    padded["mask"] = np.pad(inputs["mask"], ((0, 0), (0, 3))).astype("bool")
    np.testing.assert_allclose(outputs_of(decoder, padded)[0], images, rtol=1e-4, atol=1e-5)


def test_pooled_alone_and_tokens_alone():
    pooled = MultiscaleDecoder((16, 16, 3), latent_dim=5, pooled_dim=6, **SMALL)
    assert outputs_of(pooled, {"latents": noise(2, 5), "pooled": noise(2, 6)})[0].shape == (2, 16, 16, 3)
    tokens = MultiscaleDecoder((16, 16, 3), latent_dim=5, token_dim=10, **SMALL)
    inputs = {name: array for name, array in text_inputs().items() if name != "pooled"}
    assert outputs_of(tokens, inputs)[0].shape == (3, 16, 16, 3)


def test_an_image_does_not_depend_on_its_batch():
    decoder = MultiscaleDecoder((16, 16, 3), latent_dim=5, **TEXT)
    inputs = text_inputs()
    (together,) = outputs_of(decoder, inputs)
    (alone,) = outputs_of(decoder, {name: array[1:2] for name, array in inputs.items()})
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-5)


@pytest.mark.backends
def test_saves_and_loads_as_itself(tmp_path):
    decoder = MultiscaleDecoder((16, 16, 3), latent_dim=5, all_scales=True, name="painter", **TEXT)
    loaded = check_saved_model_equal(decoder, text_inputs(), tmp_path / "decoder.keras")
    assert loaded.get_config() == decoder.get_config() and loaded.name == "painter"


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_images(dtype):
    decoder = MultiscaleDecoder((16, 16, 3), latent_dim=5, dtype=dtype, **TEXT)
    assert {weight.dtype for weight in decoder.weights} == {"float32"}
    assert decoder.get_layer("block_4_1").compute_dtype == dtype.removeprefix("mixed_")
    images = decoder(text_inputs())
    assert keras.backend.standardize_dtype(images.dtype) == "float32"
    exact = MultiscaleDecoder((16, 16, 3), latent_dim=5, **TEXT)
    exact.set_weights(decoder.get_weights())
    (wanted,) = outputs_of(exact, text_inputs())
    error = np.abs(keras.ops.convert_to_numpy(images) - wanted).max()
    assert 0 < error < 0.1 * np.abs(wanted).max()
    assert MultiscaleDecoder.from_config(decoder.get_config()).dtype_policy.name == dtype


@pytest.mark.backends
def test_learns_a_few_images_through_every_weight():
    keras.utils.set_random_seed(0)
    decoder = MultiscaleDecoder((16, 16, 3), latent_dim=5, **TEXT)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in decoder.trainable_weights]
    inputs, images = text_inputs(), np.random.default_rng(5).uniform(-1, 1, (3, 1, 1, 3)) * np.ones((3, 16, 16, 3))
    decoder.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    losses = decoder.fit(inputs, images, batch_size=3, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    for weight, old in zip(decoder.trainable_weights, before, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(weight) - old).max() > 1e-5, weight.path


def test_default_size_and_no_transposed_convolution():
    decoder = MultiscaleDecoder((64, 64, 3), latent_dim=64, pooled_dim=384, token_dim=384)
    assert 2e6 < decoder.count_params() < 4e6
    assert not any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in decoder.layers)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_shape": (16, 16)}, "MultiscaleDecoder: image_shape must be"),
        ({"image_shape": (20, 20, 3)}, "halving reaches: 5, 10, 20"),
        ({"latent_dim": 0}, "MultiscaleDecoder: latent_dim must be an integer of at least 1; got 0"),
        ({"latent_dim": None}, "latent_dim must be an integer of at least 1; got None"),
        ({"pooled_dim": 0}, "pooled_dim must be an integer of at least 1; got 0"),
        ({"attention_resolutions": (7,)}, r"no stage has attention_resolutions \[7\]; the stages have \[4, 8, 16\]"),
        ({"filters": (8, 8)}, "filters must be one number, or 3"),
        ({"blocks": (1, 1)}, "blocks must be one number, or 3"),
        ({"output_activation": "relu"}, "output_activation must be 'linear' or 'tanh'; got 'relu'"),
        ({"token_dim": 4, "attention_resolutions": ()}, "token_dim=4 needs a block at one of attention_resolutions"),
        ({"token_dim": 4, "blocks": (1, 0, 1)}, "token_dim=4 needs a block at one of attention_resolutions"),
    ],
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiscaleDecoder(**{"image_shape": (16, 16, 3), "latent_dim": 5, **SMALL, **arguments})
