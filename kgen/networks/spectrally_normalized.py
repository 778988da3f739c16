"""Spectral normalisation of a whole network by one call."""

import keras
from keras import ops

from kgen.layers import PositionTable2D, SpectralNormalization
from kgen.layers.spectral_normalization import WRAPPABLE

# Their weights of several dimensions act on each number by itself: no matrix, nothing to normalise.
ELEMENTWISE = (keras.layers.PReLU, keras.layers.LayerNormalization, PositionTable2D)


def spectrally_normalized(model, iterations=1):
    """A copy of a network in which every weight matrix is divided by its largest singular value.

    A discriminator of which every layer has slope at most 1 has a bounded slope itself (Miyato et al. 2018, "Spectral
    Normalization for Generative Adversarial Networks"). The copy has weights of its own, equal to the model's; the
    model is left as it is. Singular values are estimated from random vectors at first, and come right within some
    tens of calls in training.

    Reached are `Dense`, `Conv`, `ConvTranspose` and `Embedding` layers, each wrapped in a `SpectralNormalization` of
    the same name; layers and networks that have an argument `spectral_normalization`, such as `ResidualBlock2D` and
    `MultiscaleEncoder`, which are made anew with it set to True; and all of these in nested models. What several
    places share stays shared, and what is normalised already stays so.

    Args:
        model: a built `keras.Sequential` or functional model, or a network with the argument above.
        iterations: steps of power iteration a call, the `power_iterations` of `SpectralNormalization`.

    Returns:
        A Keras model that takes and gives what `model` does, and saves and loads like it.

    Raises:
        TypeError: `model` is a subclassed model, whose layers cannot be replaced.
        ValueError: `model` is not built, or has a layer with a weight matrix that cannot be reached; it is named.

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
            f"spectrally_normalized: {model.name} is not built and has no weights to copy. Begin it with a keras.Input."
        )
    copies = {}  # by the id of the original: (original, copy); a shared layer is met several times
    copy = _copy(model, iterations, copies)
    for original, normalized in copies.values():
        _copy_weights(original, normalized)
    return copy


def _copy(layer, iterations, copies):
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation of keras.ops in a functional model
    if id(layer) not in copies:
        copies[id(layer)] = layer, _make_copy(layer, iterations, copies)
    return copies[id(layer)][1]


def _make_copy(layer, iterations, copies):
    if isinstance(layer, WRAPPABLE):
        return SpectralNormalization(
            _rebuilt(layer), power_iterations=iterations, name=layer.name, dtype=layer.dtype_policy
        )
    if _flag(layer) is not None:
        if iterations != 1 and not _flag(layer):
            raise ValueError(
                f"spectrally_normalized: {_named(layer)} normalises itself, by 1 iteration a call; got "
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
            "SpectralNormalization where it makes them, or give a functional or Sequential model."
        )
    if not isinstance(layer, (SpectralNormalization, *ELEMENTWISE)):
        matrices = [weight.path for weight in layer.weights if len(weight.shape) > 1]
        if matrices:
            raise ValueError(
                f"spectrally_normalized: {_named(layer)} has weights that cannot be reached: {', '.join(matrices)}. "
                "Replace it by layers that can (Dense, Conv, ConvTranspose, Embedding, or with an argument "
                "spectral_normalization), or use SpectralNormalization inside it."
            )
    return _rebuilt(layer)


def _rebuilt(layer, **changes):
    return type(layer).from_config({**layer.get_config(), **changes})


def _flag(layer):
    """The layer's argument `spectral_normalization`, or None where it has none."""
    flag = getattr(layer, "spectral_normalization", None)
    return flag if isinstance(flag, bool) else None


def _named(layer):
    return f"{type(layer).__name__} {layer.name!r}"


def _copy_weights(original, copy):
    if isinstance(original, (keras.Sequential, keras.Function)) and _flag(original) is None:
        return  # its layers are in the list themselves
    if isinstance(original, WRAPPABLE):
        copy = copy.layer
    weights = copy.weights
    if _flag(original) is False:  # the copy has singular vectors beside the original's weights
        weights = [weight for weight in weights if weight.name != "u"]
    for source, weight in zip(original.weights, weights, strict=True):
        weight.assign(ops.copy(source))  # on JAX two variables may not hold one array: steps donate it
