"""What every generator and every discriminator owes, whatever it is made of."""

import pathlib
import tempfile

import keras
import numpy as np
import pytest

from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_saved_model_equal, outputs_of


def check_generator(make, image_shape, latent_dim=5, pooled_dim=None, **kwargs):
    """Checks a generator's shape, range, condition, saving and precision.

    Args:
        make: the network's function.
        image_shape: `(height, width, channels)` to ask it for.
        latent_dim: length of its latents.
        pooled_dim: length of its condition, or None.
        **kwargs: its further arguments.
    """
    model = make(image_shape, latent_dim=latent_dim, pooled_dim=pooled_dim, **kwargs)
    stir(model)
    inputs = {"latents": _noise(3, latent_dim)}
    if pooled_dim is not None:
        inputs["pooled"] = np.eye(pooled_dim, dtype="float32")[:3]
    given = inputs if pooled_dim is not None else inputs["latents"]
    (images,) = outputs_of(model, given)
    assert model.name == "generator" and model.output_shape == (None, *image_shape)
    assert images.shape == (3, *image_shape) and np.max(np.abs(images)) <= 1.0 and np.std(images) > 0.01
    assert np.max(np.abs(images[0] - images[1])) > 1e-3  # latents decide
    if pooled_dim is not None:
        _check_condition(model, inputs)
    _check_saving(model, given)
    check_precision(lambda: make(image_shape, latent_dim=latent_dim, pooled_dim=pooled_dim, **kwargs), model, given)
    check_training(model, given)


def check_discriminator(make, image_shape, pooled_dim=None, num_classes=None, **kwargs):
    """Checks a discriminator's head, features, condition, second derivatives, saving and precision.

    Args:
        make: the network's function.
        image_shape: `(height, width, channels)` of the images it sees.
        pooled_dim: length of its condition, or None.
        num_classes: of its classifier, or None.
        **kwargs: its further arguments.
    """

    def build():
        return make(image_shape, pooled_dim=pooled_dim, num_classes=num_classes, **kwargs)

    model = build()
    stir(model)
    inputs = {"images": _noise(3, *image_shape)}
    if pooled_dim is not None:
        inputs["pooled"] = np.eye(pooled_dim, dtype="float32")[:3]
    given = inputs if pooled_dim is not None else inputs["images"]
    assert model.name == "discriminator"
    if num_classes is None:
        assert model.output_shape == (None, 1)
    else:
        shapes = {name: output.shape for name, output in model.output.items()}
        assert shapes == {"logits": (None, 1), "labels": (None, num_classes)}
    features = keras.Model(model.inputs, model.get_layer("features").output)
    (h,) = outputs_of(features, list(inputs.values()))
    assert h.ndim == 2 and np.std(h) > 1e-3
    if pooled_dim is not None:
        _check_condition(model, inputs)
        with pytest.raises(ValueError, match="pooled_dim=.* num_classes=2"):
            make(image_shape, pooled_dim=pooled_dim, num_classes=2, **kwargs)
    _check_saving(model, given)
    check_precision(build, model, given)
    _check_second_derivatives(model, inputs)


def _noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def stir(model):
    """Gates and projections that begin at zero would hide whatever stands behind them."""
    random = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(keras.ops.convert_to_numpy(weight) + 0.1 * random.normal(size=weight.shape))


def _check_condition(model, inputs):
    one = outputs_of(model, inputs)[0]
    other = outputs_of(model, {**inputs, "pooled": np.roll(inputs["pooled"], 1, axis=0)})[0]
    assert np.max(np.abs(one - other)) > 1e-3


def _check_saving(model, given):
    with tempfile.TemporaryDirectory() as directory:
        check_saved_model_equal(model, given, pathlib.Path(directory) / "model.keras")


def check_precision(build, model, given):
    """Float32 outputs in mixed precision, near those of float32 throughout."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        mixed = build()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(model.get_weights())
    assert all(keras.backend.standardize_dtype(output.dtype) == "float32" for output in mixed.outputs)
    for exact, rounded in zip(outputs_of(model, given), outputs_of(mixed, given), strict=True):
        assert 0 < np.max(np.abs(rounded - exact)) < 0.1 * np.max(np.abs(exact))


def check_training(model, given):
    """A step of gradient descent reaches every matrix; biases may be undone by batch normalisation."""
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=keras.backend.backend() == "jax")
    model.fit(given, np.zeros((3, *model.output_shape[1:]), "float32"), batch_size=3, verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        moved = len(weight.shape) < 2 or np.max(np.abs(new - old)) > 0
        assert np.all(np.isfinite(new)) and moved, f"no gradient reaches {weight.path}"


def _check_second_derivatives(model, inputs):
    """The gradient of the logits' slope reaches every matrix on the way from the images to the logits."""
    images = keras.Input(inputs["images"].shape[1:])
    given = images
    if "pooled" in inputs:  # the same for all
        given = {"images": images, "pooled": keras.ops.zeros_like(images[:, 0, 0, :1]) + inputs["pooled"][0]}
    outputs = model(given)
    outputs = outputs["logits"] if isinstance(outputs, dict) else outputs
    slopes = gradient_penalty_gradients(keras.Model(images, outputs), inputs["images"])
    missing = [
        weight.path
        for weight in model.trainable_weights
        if len(weight.shape) > 1
        and not (weight.path in slopes and 0 < np.max(np.abs(slopes[weight.path])) < np.inf)
        and "/labels/" not in f"/{weight.path}"
    ]
    assert missing == [], f"a gradient penalty does not reach {missing}"
