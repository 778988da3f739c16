"""What a network takes (images or latents, and a condition) and what it gives."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras

from kgen import checks
from kgen.types import Tensor

# Activations that give probabilities in place of logits, and all that give no negative numbers.
_SIGMOIDS = {"sigmoid", "hard_sigmoid", "hardsigmoid", "softmax"}
_NOT_NEGATIVE = _SIGMOIDS | {"relu", "relu6", "softplus", "exponential", "exp"}
# Layers and operations that leave values as they are.
_MOVING = {"Reshape", "Flatten", "Permute", "Transpose", "Squeeze", "Cast", "Identity", "Dropout", "Cropping2D"}
_MOVING |= {"UpSampling2D", "PixelShuffle"}


def feed(
    network: keras.Model, name: str, tensor: Tensor, condition: Mapping[str, Tensor], training: bool | None
) -> Any:
    """Calls a network with a tensor and the parts of a condition that it takes.

    A network with one plain input gets the tensor alone. One with a dict of inputs gets the tensor under `name`, and
    the parts of the condition that its inputs name.

    Args:
        network: a Keras model.
        name: name of the tensor's input, "images" or "latents".
        tensor: images or latents `(batch, ...)`.
        condition: `pooled`, `tokens`, `mask` or other tensors by name; the network need not take them all.
        training: whether the network is in training.

    Returns:
        What the network gives.

    Raises:
        ValueError: if the network has an input that is neither `name` nor part of the condition.

    Example:

    ```python
    images = feed(generator, "latents", latents, {"pooled": one_hot_labels}, training=False)
    ```
    """
    names = condition_names(network, condition)
    if not names:
        return network(tensor, training=training)
    parts = {name: tensor, **condition}
    names = names | {name}
    if names - set(parts):
        raise ValueError(
            f"The network {network.name!r} has inputs {sorted(names)}, but nothing is given for "
            f"{sorted(names - set(parts))}. Its inputs may be {name!r} and the parts of the model's condition: "
            f"{sorted(condition)}."
        )
    return network({key: parts[key] for key in names}, training=training)


def inputs_of(network: keras.Model) -> Any:
    """The symbolic inputs of a network: a tensor, a dict or a list; None if the network does not know them yet."""
    if isinstance(network, keras.Sequential):
        return network.inputs[0] if network.built else None
    return getattr(network, "input", None)


def outputs_of(network: keras.Model) -> dict[str, Any]:
    """The symbolic outputs of a network by name. A single tensor is called `"logits"`."""
    outputs = network.outputs[0] if isinstance(network, keras.Sequential) else network.output
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def condition_names(network: keras.Model, condition: Mapping[str, Tensor]) -> set[str]:
    """Names of the condition inputs of a network; all parts of the condition if its inputs are not known."""
    inputs = inputs_of(network)
    if inputs is None:
        return set(condition)
    return set(inputs) - {"images", "latents"} if isinstance(inputs, dict) else set()


def split_batch(batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Splits a batch into `(images, condition)`."""
    return batch["images"], {key: value for key, value in batch.items() if key != "images"}


def pooled_dim(network: keras.Model) -> int | None:
    """Length of a network's `pooled` input; None if it has no such input."""
    inputs = inputs_of(network)
    return inputs["pooled"].shape[-1] if isinstance(inputs, dict) and "pooled" in inputs else None


def named_input(owner: str, network: keras.Model, name: str) -> Any:
    """A network's only input, or the input called `name` if it has several.

    Args:
        owner: name that errors begin with.
        network: a Keras model that knows its inputs.
        name: "images", "latents" or another name.

    Raises:
        ValueError: if the network has several inputs and none of them is called `name`.
    """
    inputs = inputs_of(network)
    if isinstance(inputs, (list, tuple)) or isinstance(inputs, dict) and name not in inputs:
        raise ValueError(
            f"{owner}: several inputs of a network must be a dict with {name!r} in it, such as keras.Model({{{name!r}: "
            f"..., 'pooled': ...}}, outputs); {network.name!r} has "
            f"{sorted(inputs) if isinstance(inputs, dict) else f'a list of {len(inputs)}'}."
        )
    return inputs[name] if isinstance(inputs, dict) else inputs


def check_network(owner: str, role: str, network: Any) -> None:
    """Checks that `network` is a built Keras model with known inputs.

    Args:
        owner: name that errors begin with.
        role: what the network is for, such as "generator".
        network: what the user gave.

    Raises:
        TypeError: if it is not a `keras.Model`.
        ValueError: if it does not know its input shape.
    """
    if not isinstance(network, keras.Model):
        raise TypeError(f"{owner}: {role} must be a keras.Model; got {type(network).__name__}.")
    if not network.built or inputs_of(network) is None:
        raise ValueError(
            f"{owner}: the {role} {network.name!r} has no known input shape. Start it with keras.Input, or build "
            "it from kgen.networks."
        )


def ending(tensor: Any) -> tuple[str, str]:
    """`(layer, activation)` that a symbolic output of a network comes from; `("", "")` if it is not known.

    Layers that only move values around are skipped.
    """
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return "", ""
    layer, inputs = history.operation, history.operation._inbound_nodes[history.node_index].input_tensors
    if isinstance(layer, keras.Model):
        known = isinstance(layer, (keras.Sequential, keras.Function))
        return ending(layer.outputs[history.tensor_index]) if known else ("", "")
    activation = getattr(layer, "activation", None) or type(layer)
    name = getattr(activation, "__name__", type(activation).__name__).lower()
    moves = type(layer).__name__ in _MOVING or (type(layer).__name__ == "Activation" and name == "linear")
    return ending(inputs[0]) if moves and inputs else (layer.name, name)


def warn_of_ending(owner: str, role: str, network: keras.Model, logits: bool, latents: bool = False) -> None:
    """Warns about a network whose last activation does not fit its purpose.

    Args:
        owner: name that the warning begins with.
        role: what the network is for, such as "generator".
        network: a Keras model; there is no warning if its layers are not known as a graph.
        logits: True if it should give logits, without a sigmoid; False if pixels in [-1, 1], some of them negative.
        latents: whether it should give latents of an autoencoder, which have no bounds, in place of pixels.
    """
    wrong = _SIGMOIDS if logits else _NOT_NEGATIVE | ({"tanh"} if latents else set())
    for output in outputs_of(network).values():
        layer, activation = ending(output)
        if activation not in wrong:
            continue
        if logits:
            why = "The losses are computed from logits and apply it themselves. Remove it."
        elif latents:
            why = "Latents have no bounds, so it could not output all of them. Remove it."
        else:
            why = (
                "Its pixels are read as values from -1 to 1, so it can draw nothing darker than medium grey. End it "
                "with tanh or no activation, or add keras.layers.Rescaling(2.0, -1.0) after a sigmoid."
            )
        warnings.warn(
            f"{owner}: the {role} {network.name!r} ends with {activation} in the layer {layer!r}. {why}", stacklevel=4
        )


def check_generator(owner: str, generator: Any, latent_dim: Any, num_classes: Any = None) -> tuple[int, int | None]:
    """Checks that a network makes images from latents of this length, and takes the classes if there are any.

    Args:
        owner: name that errors begin with.
        generator: what the user gave.
        latent_dim: length of a latent vector.
        num_classes: number of classes of the model; None without classes.

    Returns:
        `(latent_dim, num_classes)`, as Python integers.

    Raises:
        TypeError: if it is not a `keras.Model`.
        ValueError: if it takes other latents or other classes, does not give images, or a number is out of range.
    """
    check_network(owner, "generator", generator)
    latent_dim = checks.integer(owner, "latent_dim", latent_dim)
    if num_classes is not None:
        num_classes = checks.integer(owner, "num_classes", num_classes, least=2)
    latents = named_input(owner, generator, "latents")
    if tuple(latents.shape) != (None, latent_dim):
        raise ValueError(
            f"{owner}: the network that generates takes latents of shape {tuple(latents.shape)}, but "
            f"latent_dim={latent_dim} needs (None, {latent_dim})."
        )
    if len(generator.output_shape) != 4:
        raise ValueError(
            f"{owner}: the network that generates must give images (batch, height, width, channels); got "
            f"{generator.output_shape}."
        )
    if num_classes is not None and (pooled := pooled_dim(generator)) != num_classes:
        raise ValueError(
            f"{owner}: num_classes={num_classes} needs a network that generates from 'latents' and 'pooled' of shape "
            f"(None, {num_classes}); " + (f"its 'pooled' has length {pooled}." if pooled else "it has no 'pooled'.")
        )
    return latent_dim, num_classes


def check_discriminator(owner: str, discriminator: Any, image_shape: tuple, num_classes: int | None = None) -> None:
    """Checks that a network takes these images and gives a logit per image or patch, and that any class logits fit.

    Args:
        owner: name that errors begin with.
        discriminator: what the user gave.
        image_shape: `(height, width, channels)` of the generated images; None for a side of any length.
        num_classes: number of classes of the model; None without classes.

    Raises:
        TypeError: if it is not a `keras.Model`.
        ValueError: if it takes other images, gives other outputs, or has a classifier that does not fit.
    """
    check_network(owner, "discriminator", discriminator)
    images = named_input(owner, discriminator, "images")
    if any(n != m and None not in (n, m) for n, m in zip(images.shape[1:], image_shape)):
        raise ValueError(
            f"{owner}: the discriminator takes images of shape {tuple(images.shape[1:])}, but the generated images "
            f"have {tuple(image_shape)}."
        )
    shapes = {name: tuple(output.shape) for name, output in outputs_of(discriminator).items()}
    logits = shapes.get("logits", ())
    patches = len(logits) == 4 and logits[-1] == 1
    if not (patches or logits in ((None, 1), (None,))) or set(shapes) - {"logits", "labels"}:
        given = discriminator.output_shape if set(shapes) == {"logits"} else shapes
        raise ValueError(
            f"{owner}: the discriminator must give one logit per image, shape (batch, 1), or per patch, (batch, h, w, "
            f"1); got {given}. With a classifier it gives {{'logits': (batch, 1), 'labels': (batch, num_classes)}}."
        )
    if "labels" in shapes:
        if num_classes is None or shapes["labels"] != (None, num_classes):
            raise ValueError(
                f"{owner}: the discriminator's classifier gives 'labels' of shape {shapes['labels']}, so "
                f"num_classes must be their length; got {num_classes}."
            )
        if pooled_dim(discriminator) is not None:
            raise ValueError(
                f"{owner}: a discriminator that classifies must not be told the class. Remove its input 'pooled'."
            )
    warn_of_ending(owner, "discriminator", discriminator, logits=True)
