"""JAX: pure functions, with the state of a model threaded through them.

`jax.grad`, `jax.lax.cond` and `jax.jit` take pure functions: every value that a derivative must follow is an argument,
and everything that the function changes is a result. Losses and networks are not pure. They read `keras.Variable`s and
assign to them: weights, BatchNorm's statistics, seeds, metrics. Keras bridges this with `keras.StatelessScope`: inside
it, reading a variable gives the value that the scope holds for it, and an assignment is recorded in the scope and
leaves the variable alone. This module nests such scopes.

1. Keras' trainer calls `train_step(state, data)`. `state` holds the values of all variables of the model, its optimizer
   and its metrics, as tracers of the trainer's `jax.jit`, and the trainer expects `(logs, new state)` back. `run_step`
   opens a scope over the whole state, runs the step in it, and reads the new state from the scope.

2. A gradient or a branch inside the step is a function within that function, and it must be pure as well. If it
   assigned in the outer scope, tracers of the inner transformation would leak there, and JAX raises
   `UnexpectedTracerError`. So `_pure` wraps it. The wrapped function takes the values of all the step's variables,
   opens its own scope from `(variable, value)` pairs, runs the code, and returns the result together with the values
   that the variables have at the end of the scope. It is called with `variable.value` for each, which is the value in
   the outer scope at this moment. The new values leave the transformation as an ordinary result (the auxiliary one of a
   gradient), so `_assign` may assign them in the outer scope. A value that is still the same object as before was not
   assigned, and is left out.

3. `value_and_grad` differentiates with respect to some of these variables, so it passes their values as a separate
   argument and the rest as constants. A loss does not update the variables it is differentiated by: their tracers must
   not leave as new values.

4. Scopes nest further: an `input_gradient` inside a loss opens a scope within that of `value_and_grad`, and there
   `variable.value` gives the tracers of the outer gradient. That is why a gradient penalty can be differentiated with
   respect to weights.

5. An optimizer is pure through `stateless_apply`: its new values are assigned in the scope of the step.

`_threaded` says which variables belong to the step that is being traced. Outside a step it is empty, and code reads the
variables directly. `compiled` adds its variables too; otherwise a gradient inside it would keep the values of the first
call as constants. A variable that is not on the list, such as the state of a `SeedGenerator` that no layer or model
tracks, is a constant of the compiled step: it draws the same noise each time.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np

from kgen.training.backend import jax_sharding
from kgen.training.backend.jax_interrupts import interruptible as interruptible
from kgen.training.backend.jax_interrupts import waiting
from kgen.training.backend.jax_sharding import like_batch as like_batch
from kgen.types import Tensor


class _Threaded(threading.local):
    """The variables whose values are threaded through the steps that a thread traces, innermost step last."""

    def __init__(self):
        self.steps: list[list] = []


_threaded = _Threaded()


def _pure(function):
    """`function` made pure: takes the values of all threaded variables, returns (its result, their new values)."""
    variables = _threaded.steps[-1] if _threaded.steps else []

    def pure(values, *args):
        with keras.StatelessScope(list(zip(variables, values))) as scope:
            result = function(*args)
        return result, [scope.get_current_value(v) for v in variables]

    return variables, pure


def _assign(variables, before, after):
    for variable, old, new in zip(variables, before, after):
        if new is not old:
            variable.assign(new)


@contextlib.contextmanager
def _stateless(variables, values):
    """The scope of a step: the variables have these values, and code inside may use gradients and branches."""
    _threaded.steps.append(variables)
    try:
        with keras.StatelessScope(list(zip(variables, values))) as scope:
            yield scope
    finally:
        _threaded.steps.pop()


# === Gradients ===
def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list]:
    """By `jax.value_and_grad` with respect to some of the threaded values."""
    of_wanted, wanted, keep = _of_values(function, variables)

    def loss_of(wanted):
        (loss, auxiliary), after = of_wanted(wanted)
        return loss, (auxiliary, after)

    (loss, (auxiliary, after)), gradients = jax.value_and_grad(loss_of, has_aux=True)(wanted)
    keep(after)
    return (loss, auxiliary), gradients


def _of_values(function, variables):
    """A pure `function` of some variables' values; these values; and a function that assigns the others' new values."""
    threaded, pure = _pure(function)
    position = {id(v): i for i, v in enumerate(threaded)}
    indices = [position[id(v)] for v in variables]
    values = [v.value for v in threaded]
    others = sorted(set(range(len(threaded))) - set(indices))

    def of_wanted(wanted):
        mixed = list(values)
        for i, value in zip(indices, wanted):
            mixed[i] = value
        result, after = pure(mixed)
        # A loss does not change the variables it is differentiated by: their tracers must not leave.
        return result, [after[i] for i in others]

    def keep(after):
        _assign([threaded[i] for i in others], [values[i] for i in others], after)

    return of_wanted, [values[i] for i in indices], keep


def shared_forward(function: Callable, variables: Sequence) -> tuple[Any, Callable]:
    """By `jax.vjp`; its backward pass runs once the loss is known."""
    of_wanted, wanted, keep = _of_values(function, variables)

    def outputs_of(wanted):
        (outputs, auxiliary), after = of_wanted(wanted)
        return outputs, (auxiliary, after)

    outputs, pull_back, (auxiliary, after) = jax.vjp(outputs_of, wanted, has_aux=True)
    keep(after)

    def value_and_grad_of(loss_of):
        threaded, pure = _pure(loss_of)
        values = [v.value for v in threaded]

        def of_outputs(made):
            (loss, parts), after = pure(values, made)
            return loss, (parts, after)

        (loss, (parts, after)), slopes = jax.value_and_grad(of_outputs, has_aux=True)(outputs)
        _assign(threaded, values, after)
        (gradients,) = pull_back(slopes)
        return (loss, parts), gradients

    return (outputs, auxiliary), value_and_grad_of


def input_gradient(function: Callable, inputs: Tensor) -> Tensor:
    """By `jax.grad`."""
    threaded, pure = _pure(lambda x: keras.ops.sum(function(x)))
    values = [v.value for v in threaded]
    gradient, after = jax.grad(lambda x: pure(values, x), has_aux=True)(keras.ops.stop_gradient(inputs))
    _assign(threaded, values, after)
    return gradient


def without_gradients() -> contextlib.AbstractContextManager:
    """Nothing to do: JAX differentiates only what it is asked to."""
    return contextlib.nullcontext()


# === Conditions ===
def run_if(condition: Tensor, function: Callable, otherwise: Callable | None = None) -> None:
    """By `jax.lax.cond` over the values of all threaded variables."""
    threaded, pure = _pure(function)
    _, other = _pure(otherwise or (lambda: None))
    values = [v.value for v in threaded]
    after = jax.lax.cond(condition, lambda v: pure(v)[1], lambda v: other(v)[1], values)
    _assign(threaded, values, after)


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """By `jax.lax.cond`."""
    threaded, pure = _pure(function)
    values = [v.value for v in threaded]
    result, after = jax.lax.cond(condition, pure, lambda v: (otherwise, v), values)
    _assign(threaded, values, after)
    return result


# === Optimizers and replicas ===
def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """By `stateless_apply`."""
    state = optimizer.variables
    new_values, new_state = optimizer.stateless_apply([v.value for v in state], gradients, [v.value for v in variables])
    for variable, value in zip([*variables, *state], [*new_values, *new_state]):
        variable.assign(value)


def replicas() -> int:
    """1: code sees the whole batch, also under `keras.distribution`."""
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
    """The function of the tensors: they hold the whole batch, also under `keras.distribution`."""
    return function(*tensors)


# === Steps and state ===
def run_step(step: Callable, groups: Sequence, args: Sequence, layers: Callable = list) -> tuple[Any, tuple]:
    """The trainer passes `(state, data)`: values of the groups of variables; it expects `(logs, new state)` back."""
    state, data = args
    variables = [v for group in groups for v in group]
    values = [value for group in state for value in group]
    with _stateless(variables, values) as scope:
        logs = step(data)
    return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)


def has_accelerator() -> bool:
    """Whether JAX computes on anything other than a CPU."""
    return jax.default_backend() != "cpu"


def step_logs(result: Any) -> dict:
    """The result is `(logs, new state)`."""
    return result[0]


def adapt_trainer(model: keras.Model) -> None:
    """Lets it take batches that do not divide evenly over the devices."""
    jax_sharding.adapt(model)


def attach_state(model: keras.Model) -> None:
    """The trainer holds the values until the epoch ends."""
    model.jax_state_sync()


# The state that each model's last step returned, until it is in the variables.
_given: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def kept_step(model: keras.Model, function: Callable, groups: Callable) -> Callable:
    """A step that also stores the state it returns, for `give_state`."""
    if getattr(function, "keeps", False):
        return function

    def step(state, iterator):
        waiting.within = True
        try:
            logs, state = function(state, iterator)
            _given[model] = groups, state
        finally:
            waiting.within = False
        waiting.end()
        return logs, state

    step.keeps = True  # type: ignore[attr-defined]
    return step


def give_state(model: keras.Model, synchronize: Callable) -> None:
    """Also works if the trainer was interrupted before it received the last step's state."""
    groups, state = _given.pop(model, (list, ()))
    try:
        synchronize()
    except RuntimeError:
        # The last step has reused the memory of these values.
        if not state:
            raise
    for variables, values in zip(groups(), state):
        for variable, value in zip(variables, values):
            variable.assign(value)


def compiled(function: Callable, state: Callable, axes: int = 1) -> Callable:
    """By `jax.jit`, which needs fixed lengths: the last row is repeated up to a power of two, then cut off again."""

    @jax.jit
    def pure(values, inputs):
        with _stateless(state(), values):
            return function(inputs)

    def call(inputs):
        rows = len(next(iter(inputs.values())))
        fill = (1 << (rows - 1).bit_length()) - rows
        inputs = {k: np.concatenate([v, np.repeat(v[-1:], fill, axis=0)]) for k, v in inputs.items()}
        outputs = pure([v.value for v in state()], inputs)
        return jax.tree.map(lambda output: np.asarray(output)[:rows], outputs)

    return call


# === Tensors ===
def is_traced(tensor: Tensor) -> bool:
    """Whether it is a tracer."""
    return isinstance(tensor, jax.core.Tracer)


def widest_float() -> str:
    """float32, or float64 where it was enabled."""
    return "float64" if jax.config.jax_enable_x64 else "float32"  # type: ignore[attr-defined]
