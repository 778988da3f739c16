import keras
import numpy as np
import pytest

from kgen.networks import MultiscaleEncoder
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_saved_model_equal, outputs_of

SMALL = dict(filters=16, num_heads=2, feature_dim=12)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize(
    "image_shape, arguments",
    [
        ((32, 32, 3), {}),
        ((28, 28, 1), {"end": 7, "attention_resolutions": (7, 14)}),
        ((16, 24, 4), {"filters": (20, 12, 8), "blocks": (2, 1, 0), "normalization": None}),
        ((32, 32, 3), {"patch": 2, "spectral_normalization": True, "attention_resolutions": (8,)}),
    ],
)
def test_takes_images_of_any_reachable_shape(image_shape, arguments):
    encoder = MultiscaleEncoder(image_shape, output_dim=7, **{**SMALL, **arguments})
    assert encoder.output_shape == (None, 7)
    (vectors,) = outputs_of(encoder, noise(2, *image_shape))
    assert vectors.shape == (2, 7)
    assert np.all(np.isfinite(vectors)) and np.abs(vectors[0] - vectors[1]).max() > 1e-4


@pytest.mark.backends
def test_is_bilinear_in_features_and_condition():
    encoder = MultiscaleEncoder((16, 16, 3), output_dim=2, pooled_dim=6, **SMALL)
    images, pooled = noise(3, 16, 16, 3), noise(3, 6, seed=1)
    (vectors,) = outputs_of(encoder, {"images": images, "pooled": pooled})
    features = keras.Model(encoder.inputs, encoder.get_layer("features").output)
    (h,) = outputs_of(features, {"images": images, "pooled": pooled})
    layers = encoder.get_layer("condition"), encoder.get_layer("output")
    (v, v_bias), (w, w_bias) = (map(keras.ops.convert_to_numpy, layer.weights) for layer in layers)
    np.testing.assert_allclose(vectors, h * (1 + pooled @ v + v_bias) @ w + w_bias, rtol=1e-3, atol=1e-4)
    assert np.abs(outputs_of(encoder, {"images": images, "pooled": -pooled})[0] - vectors).max() > 1e-3


def test_keeps_positions_apart():
    """Flattened, not pooled away: the same pixels elsewhere give another vector."""
    encoder = MultiscaleEncoder((16, 16, 3), output_dim=4, **SMALL)
    images = np.zeros((2, 16, 16, 3), "float32")
    images[0, 2:6, 2:6] = images[1, 10:14, 10:14] = 1.0
    (vectors,) = outputs_of(encoder, images)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-2


def test_a_vector_does_not_depend_on_its_batch():
    encoder = MultiscaleEncoder((16, 16, 3), output_dim=4, attention_resolutions=(8,), **SMALL)
    images = noise(3, 16, 16, 3)
    np.testing.assert_allclose(
        outputs_of(encoder, images[1:2])[0][0], outputs_of(encoder, images)[0][1], rtol=1e-4, atol=1e-5
    )


@pytest.mark.backends
@pytest.mark.parametrize("spectral_normalization", [False, True])
def test_stands_gradient_penalties(spectral_normalization):
    discriminator = MultiscaleEncoder(
        (8, 8, 3),
        output_dim=1,
        attention_resolutions=(8,),
        spectral_normalization=spectral_normalization,
        **SMALL,
    )
    gradients = gradient_penalty_gradients(discriminator, noise(2, 8, 8, 3))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients.values())
    kernels = [weight.path for weight in discriminator.trainable_weights if weight.name == "kernel"]
    # Attention begins behind a closed gate, and nothing reaches its projections yet.
    reached = [path for path in kernels if path in gradients and np.abs(gradients[path]).max() > 0]
    assert set(reached) == {path for path in kernels if "attention" not in path}


def test_spectral_normalization_bounds_the_slope():
    arguments = dict(output_dim=1, blocks=0, normalization=None, **SMALL)
    plain = MultiscaleEncoder((8, 8, 3), **arguments)
    bounded = MultiscaleEncoder((8, 8, 3), spectral_normalization=True, **arguments)
    images = noise(2, 8, 8, 3)
    for model in (plain, bounded):
        for weight in model.trainable_weights:
            weight.assign(10 * weight)
    for _ in range(30):
        bounded(images, training=True)
    # Each convolution's matrix has norm 1; overlapping 3x3 windows let the stem stretch by at most 3.
    assert np.ptp(outputs_of(bounded, images)[0]) <= 3 * np.linalg.norm(images[0] - images[1])
    assert np.ptp(outputs_of(plain, images)[0]) > 3 * np.ptp(outputs_of(bounded, images)[0])


def test_saves_and_loads_as_itself(tmp_path):
    encoder = MultiscaleEncoder(
        (16, 16, 3), output_dim=4, pooled_dim=6, spectral_normalization=True, attention_resolutions=(8,), **SMALL
    )
    inputs = {"images": noise(2, 16, 16, 3), "pooled": noise(2, 6)}
    encoder(inputs, training=True)  # moves the singular vectors, which must be saved too
    loaded = check_saved_model_equal(encoder, inputs, tmp_path / "encoder.keras")
    assert loaded.get_config() == encoder.get_config()


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_vectors(dtype):
    encoder = MultiscaleEncoder((16, 16, 3), output_dim=4, dtype=dtype, spectral_normalization=True, **SMALL)
    assert {weight.dtype for weight in encoder.weights} == {"float32"}
    assert encoder.get_layer("block_16_1").compute_dtype == dtype.removeprefix("mixed_")
    vectors = encoder(noise(2, 16, 16, 3))
    assert keras.backend.standardize_dtype(vectors.dtype) == "float32"
    exact = MultiscaleEncoder((16, 16, 3), output_dim=4, spectral_normalization=True, **SMALL)
    exact.set_weights(encoder.get_weights())
    (wanted,) = outputs_of(exact, noise(2, 16, 16, 3))
    assert np.abs(keras.ops.convert_to_numpy(vectors) - wanted).max() < 0.1 * np.abs(wanted).max()


@pytest.mark.backends
def test_learns_to_tell_images_apart():
    keras.utils.set_random_seed(0)
    encoder = MultiscaleEncoder((16, 16, 3), output_dim=1, pooled_dim=2, attention_resolutions=(8,), **SMALL)
    images, pooled = noise(8, 16, 16, 3), noise(8, 2, seed=1)
    target = np.float32([[1], [-1]] * 4)
    encoder.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    losses = encoder.fit({"images": images, "pooled": pooled}, target, batch_size=8, epochs=20, verbose=0).history[
        "loss"
    ]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_shape": (16,)}, "MultiscaleEncoder: image_shape must be"),
        ({"image_shape": (20, 20, 3)}, "halving reaches: 5, 10, 20"),
        ({"output_dim": 0}, "MultiscaleEncoder: output_dim must be an integer of at least 1; got 0"),
        ({"output_dim": None}, "output_dim must be an integer of at least 1; got None"),
        ({"pooled_dim": 0}, "pooled_dim must be an integer of at least 1; got 0"),
        ({"attention_resolutions": (32,)}, r"no stage has attention_resolutions \[32\]"),
        ({"filters": (8, 8)}, "filters must be one number, or 3"),
        ({"blocks": (1, 1)}, "blocks must be one number, or 3"),
    ],
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiscaleEncoder(**{"image_shape": (16, 16, 3), "output_dim": 4, **SMALL, **arguments})
