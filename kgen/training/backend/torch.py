"""torch: variables are updated in place, and autograd follows everything unless told otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from kgen.types import Tensor


# === Gradients ===
def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list]:
    """By autograd.

    Raises:
        RuntimeError: with advice, if a layer writes its weights in place whenever it is called.
    """
    values = [v.value for v in variables]
    loss, auxiliary = function()
    try:
        gradients = torch.autograd.grad(loss, values, allow_unused=True)
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            raise
        raise RuntimeError(
            "On torch a network that is called twice in a step cannot have a layer that writes its weights in each "
            "call, as keras.layers.SpectralNormalization does. kgen.layers.SpectralNormalization does not."
        ) from error
    return (loss, auxiliary), [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, values)]


def shared_forward(function: Callable, variables: Sequence) -> tuple[Any, Callable]:
    """By autograd, in two parts that meet at detached outputs."""
    values = [v.value for v in variables]
    made, auxiliary = function()
    outputs = keras.tree.map_structure(lambda tensor: tensor.detach(), made)

    def value_and_grad_of(loss_of):
        leaves = keras.tree.map_structure(lambda tensor: tensor.detach().requires_grad_(True), outputs)
        loss, parts = loss_of(leaves)
        flat = keras.tree.flatten(leaves)
        slopes = torch.autograd.grad(loss, flat, materialize_grads=True)
        pairs = [(m, slope) for m, slope in zip(keras.tree.flatten(made), slopes) if m.requires_grad]
        ends, slopes = map(list, zip(*pairs))
        gradients = torch.autograd.grad(ends, values, slopes, allow_unused=True)
        return (loss, parts), [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, values)]

    return (outputs, auxiliary), value_and_grad_of


def input_gradient(function: Callable, inputs: Tensor) -> Tensor:
    """By autograd, which keeps the gradient's graph so that it can be differentiated again."""
    inputs = keras.ops.stop_gradient(inputs).detach().requires_grad_(True)
    with torch.enable_grad():
        total = function(inputs).sum()
        if not total.requires_grad:
            return torch.zeros_like(inputs)
        return torch.autograd.grad(total, inputs, create_graph=True, materialize_grads=True)[0]


def without_gradients() -> contextlib.AbstractContextManager:
    """`torch.no_grad`."""
    return torch.no_grad()


# === Conditions ===
def run_if(condition: Tensor, function: Callable, otherwise: Callable | None = None) -> None:
    """By Python: the condition has a value."""
    if bool(condition):
        function()
    elif otherwise is not None:
        otherwise()


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """By Python: the condition has a value."""
    return function() if bool(condition) else otherwise


# === Optimizers and replicas ===
def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """By the optimizer, which autograd must not follow."""
    with torch.no_grad():
        optimizer.apply(gradients, variables)


def replicas() -> int:
    """1."""
    return 1


def replica_index() -> int:
    """0."""
    return 0


def sum_over_replicas(value: Tensor) -> Tensor:
    """The value."""
    return value


def batch_mean(values: Tensor) -> Tensor:
    """The mean."""
    return keras.ops.mean(values)


def on_whole_batch(function: Callable, *tensors: Any) -> Any:
    """The function of the tensors: there are no replicas."""
    return function(*tensors)


def like_batch(tensor: Tensor) -> Tensor:
    """The tensor: there is one device."""
    return tensor


# === Steps and state ===
def run_step(step: Callable, groups: Sequence, args: Sequence, layers: Callable = list) -> Any:
    """The trainer passes only the data: tensors from `fit`, the caller's own arrays from `train_on_batch`."""
    return step(*keras.tree.map_structure(lambda x: x if x is None else keras.ops.convert_to_tensor(x), args))


def has_accelerator() -> bool:
    """Whether Keras puts tensors on anything other than a CPU."""
    return keras.ops.zeros(()).device.type != "cpu"


def step_logs(result: Any) -> dict:
    """The result is the logs."""
    return result


def adapt_trainer(model: keras.Model) -> None:
    """Nothing to do."""


def attach_state(model: keras.Model) -> None:
    """Nothing to do: the variables themselves are trained."""


def interruptible() -> contextlib.AbstractContextManager:
    """Nothing to do: the variables have their values at any moment."""
    return contextlib.nullcontext([])


def give_state(model: keras.Model, synchronize: Callable) -> None:
    """Nothing to do."""


def kept_step(model: keras.Model, function: Callable, groups: Callable) -> Callable:
    """Nothing to do."""
    return function


def compiled(function: Callable, state: Callable, axes: int = 1) -> Callable:
    """Not compiled."""

    def call(inputs):
        with torch.no_grad():
            outputs = function({k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()})
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return call


# === Tensors ===
def is_traced(tensor: Tensor) -> bool:
    """Whether it is on the device `meta`, which Keras uses to infer shapes."""
    return getattr(getattr(tensor, "device", None), "type", None) == "meta"


def widest_float() -> str:
    """float64."""
    return "float64"
