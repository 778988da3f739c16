"""Spectral normalisation of a whole network in one call."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers import PositionTable2D, SpectralNormalization
from kgen.layers.spectral_normalization import WRAPPABLE
from kgen.serializable import python_numbers

# Their weights with several dimensions act elementwise: there is no matrix to normalise.
ELEMENTWISE = (keras.layers.PReLU, keras.layers.LayerNormalization, PositionTable2D)


@python_numbers
def spectrally_normalized(model: keras.Model, iterations: int = 1) -> keras.Model:
    """A copy of a network in which every weight matrix is divided by its largest singular value.

    If the slope of every layer is bounded, so is that of the discriminator (Miyato et al. 2018, "Spectral Normalization
    for Generative Adversarial Networks"). The copy has its own weights, equal to the model's; the model does not
    change. Singular values are estimated from random vectors at first, and become accurate within a few dozen calls in
    training.

    `Dense`, `Conv`, `ConvTranspose` and `Embedding` layers are wrapped in a `SpectralNormalization` of the same name.
    Layers and networks with an argument `spectral_normalization`, such as `ResidualBlock2D` and `MultiscaleEncoder`,
    are rebuilt with it set to True. Nested models are treated in the same way. Shared layers stay shared, and layers
    that are already normalised stay so.

    Args:
        model: a built `keras.Sequential` or functional model, or a network with the argument above.
        iterations: steps of power iteration per call, the `power_iterations` of `SpectralNormalization`.

    Returns:
        A Keras model with the inputs and outputs of `model`, which saves and loads like it.

    Raises:
        TypeError: if `model` is a subclassed model, whose layers cannot be replaced.
        ValueError: if `model` is not built, or a layer has a weight matrix that cannot be normalised.

    Example:
        ```python
        critic = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
        bounded = spectrally_normalized(critic)
        bounded(keras.random.normal((2, 28, 28, 1)), training=True).shape  # (2, 1)
        ```
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"spectrally_normalized: model must be a keras.Model; got {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"spectrally_normalized: {model.name} is not built and has no weights to copy. Start it with keras.Input."
        )
    # By the id of the original: (original, copy). A shared layer is met several times.
    copies: dict[int, tuple[keras.layers.Layer, keras.layers.Layer]] = {}
    copy = _copy(model, iterations, copies)
    for original, normalized in copies.values():
        _copy_weights(original, normalized)
    return copy


def _copy(layer: Any, iterations: int, copies: dict[int, tuple[keras.layers.Layer, keras.layers.Layer]]) -> Any:
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation of keras.ops in a functional model
    if id(layer) not in copies:
        copies[id(layer)] = layer, _make_copy(layer, iterations, copies)
    return copies[id(layer)][1]


def _make_copy(
    layer: keras.layers.Layer, iterations: int, copies: dict[int, tuple[keras.layers.Layer, keras.layers.Layer]]
) -> keras.layers.Layer:
    if isinstance(layer, WRAPPABLE):
        return SpectralNormalization(
            _rebuilt(layer), power_iterations=iterations, name=layer.name, dtype=layer.dtype_policy
        )
    if _flag(layer) is not None:
        if iterations != 1 and not _flag(layer):
            raise ValueError(
                f"spectrally_normalized: {_named(layer)} normalises itself, with 1 iteration per call; got "
                f"iterations={iterations}."
            )
        return _rebuilt(layer, spectral_normalization=True)
    if isinstance(layer, (keras.Sequential, keras.Function)):
        copy = keras.models.clone_model(layer, clone_function=lambda inner: _copy(inner, iterations, copies))
        if not layer.trainable:
            copy.trainable = False
        return copy
    if isinstance(layer, keras.Model):
        raise TypeError(
            f"spectrally_normalized: {_named(layer)} is a subclassed model, whose layers cannot be replaced. Use "
            "SpectralNormalization where it creates them, or pass a functional or Sequential model."
        )
    if not isinstance(layer, (SpectralNormalization, *ELEMENTWISE)):
        matrices = [weight.path for weight in layer.weights if len(weight.shape) > 1]
        if matrices:
            raise ValueError(
                f"spectrally_normalized: {_named(layer)} has weights that cannot be reached: {', '.join(matrices)}. "
                "Replace it with layers whose weights can (Dense, Conv, ConvTranspose, Embedding, or any with an "
                "argument spectral_normalization), or use SpectralNormalization inside it."
            )
    return _rebuilt(layer)


def _rebuilt(layer: keras.layers.Layer, **changes: Any) -> keras.layers.Layer:
    return type(layer).from_config({**layer.get_config(), **changes})


def _flag(layer: keras.layers.Layer) -> bool | None:
    """The layer's argument `spectral_normalization`, or None if it has no such argument."""
    flag = getattr(layer, "spectral_normalization", None)
    return flag if isinstance(flag, bool) else None


def _named(layer: keras.layers.Layer) -> str:
    return f"{type(layer).__name__} {layer.name!r}"


def _copy_weights(original: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    if isinstance(original, (keras.Sequential, keras.Function)) and _flag(original) is None:
        return  # its layers are copied one by one
    if isinstance(original, WRAPPABLE):
        copy = copy.layer
    weights = copy.weights
    if _flag(original) is False:  # the copy has singular vectors besides the original's weights
        weights = [weight for weight in weights if weight.name != "u"]
    for source, weight in zip(original.weights, weights, strict=True):
        weight.assign(ops.copy(source))  # on JAX two variables must not share an array: steps donate it
