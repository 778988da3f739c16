"""What a network takes, of pictures or latents and a condition, and what it gives."""

from __future__ import annotations

import keras


def feed(network, name, tensor, condition, training):
    """Calls a network with a tensor and those parts of a condition that it takes.

    A network with one plain input gets the tensor; one with a dict of inputs gets the tensor under `name`, and of the
    condition (`pooled`, `tokens`, `mask`) what its inputs name.
    """
    if not condition_names(network, condition):
        return network(tensor, training=training)
    parts = {name: tensor, **condition}
    names = condition_names(network, condition) | {name}
    if names - set(parts):
        raise ValueError(
            f"The network {network.name!r} has inputs {sorted(names)}; nothing is known of "
            f"{sorted(names - set(parts))}. They may be {name!r} and what the model's condition has: "
            f"{sorted(condition)}."
        )
    return network({key: parts[key] for key in names}, training=training)


def inputs_of(network):
    """The symbolic inputs of a network: a tensor, a dict or a list of them; None where it does not know them yet."""
    if isinstance(network, keras.Sequential):
        return network.inputs[0] if network.built else None
    return getattr(network, "input", None)


def outputs_of(network):
    """The symbolic outputs of a network by name: one that is only a tensor is `"logits"`."""
    outputs = network.outputs[0] if isinstance(network, keras.Sequential) else network.output
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def condition_names(network, condition):
    """Names of the parts of a condition that a network has inputs for; all of them where it does not say."""
    inputs = inputs_of(network)
    if inputs is None:
        return set(condition)
    return set(inputs) - {"images", "latents"} if isinstance(inputs, dict) else set()


def parted(batch):
    """`(images, condition)` of a batch."""
    return batch["images"], {key: value for key, value in batch.items() if key != "images"}
