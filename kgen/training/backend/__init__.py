"""The one place that knows how TensorFlow, JAX and torch differ; the rest of kgen uses `keras.ops` and these functions.

TensorFlow has a tape, torch has autograd, and JAX wants pure functions of all state. Each backend has a module, and
importing kgen picks the one for Keras' backend. All three modules define these functions:

Gradients. `function` may update `keras.Variable`s; the updates are kept.

- `value_and_grad(function, variables)`: `(scalar, auxiliary), gradients` of a function that takes nothing and returns
  `(scalar, auxiliary tensors)`, with respect to `keras.Variable`s. The gradient of a variable that the function does
  not use is zero.
- `shared_forward(function, variables)`: `(outputs, auxiliary), value_and_grad`, for outputs that several losses use.
  `function`, which takes nothing, runs once and returns `(outputs, auxiliary tensors)`; outputs are floating-point
  tensors in any structure, and no gradient flows back through them. Then `value_and_grad(loss)`, to be called once, is
  `(scalar, auxiliary), gradients` of a function of the outputs, with respect to the variables and through the outputs.
- `input_gradient(function, inputs)`: the gradient of a per-sample function with respect to its input, a tensor of the
  input's shape that can be differentiated again. `function` maps `(batch, ...)` to `(batch,)`, and sample i of the
  result may depend only on sample i of the input. No gradient flows back into whatever computed `inputs`.
- `without_gradients()`: a scope for updates without gradients.

Conditions. `condition` is a boolean scalar tensor.

- `run_if(condition, function, otherwise)`: calls `function()` for its effects on variables if the condition holds, else
  `otherwise()` if that is given.
- `value_if(condition, function, otherwise)`: `function()` if the condition holds, else the tensor `otherwise`, and
  `function` does not run. Gradients flow through it, and updates of variables are kept.

Optimizers and replicas.

- `apply_gradients(optimizer, gradients, variables)`: one step of a `keras.optimizers.Optimizer` on the variables that
  it was built with.
- `replicas()`: how many replicas share a batch under the `tf.distribute` strategy in scope; 1 elsewhere.
- `replica_index()`: this replica's number, an integer or a tensor; 0 elsewhere.
- `sum_over_replicas(value)`: the sum of a tensor over the replicas; with one replica, the tensor itself.
- `batch_mean(values)`: the mean of one value per sample: N replicas that share a batch get the same as one device.
- `on_whole_batch(function, *tensors)`: calls a function with the tensors of all replicas, joined along the first axis,
  and returns the rows of this replica. Whatever compares the samples of a batch goes through it. The tensors (in any
  structure) and the results have a row for each sample of a share. Gradients flow from the losses of all replicas into
  the tensors of each.
- `like_batch(tensor)`: a random tensor that a step drew, a row for each sample, split over devices like the batch.

Steps and state.

- `adapt_trainer(model)`: prepares a newly compiled model for Keras' trainer, where the backend needs it.
- `run_step(step, groups, args, layers=list)`: runs `step(data)`, which updates variables and returns logs, as the
  `train_step` or `test_step` that Keras' trainer calls. `args` is what the trainer passed. `groups` are lists of
  variables, in the order in which Keras' JAX trainer passes their values; the others don't need them. `layers` is a
  function that gives all layers of the model.
- `step_logs(result)`: the dict of logs in the result of a model's `train_function`.
- `attach_state(model)`: writes the current values of the training into a model's variables, so that a callback can read
  or change them within an epoch.
- `interruptible()`: a scope in which Ctrl-C leaves a model whose variables have values. It yields a list of callbacks
  for the training inside.
- `give_state(model, synchronize)`: a model's `jax_state_sync`; `synchronize` is Keras' own version of it.
- `kept_step(model, function, groups)`: wraps the trainer's step function so that an interrupted training can still give
  the model its latest state. `groups` is a function that gives the lists of variables of `run_step`.
- `compiled(function, state, axes=1)`: a function from a dict of NumPy arrays `(rows, ...)` to NumPy arrays
  `(rows, ...)` in any structure. `function` does the same with tensors, each row by itself. It is compiled once for any
  number of rows; TensorFlow leaves the lengths of the first `axes` axes open. `state` is a function that gives the list
  of `keras.Variable`s that are read; their values may change between calls.

Tensors.

- `is_traced(tensor)`: whether code is being traced to be compiled: the tensor then has a shape but no value yet.
- `has_accelerator()`: whether there is a device other than a CPU.
- `widest_float()`: the widest floating-point type that variables can have on this backend.
"""

import importlib
from collections.abc import Callable

import keras

from kgen.training.regularization import not_gathering
from kgen.types import Tensor

if keras.backend.backend() not in ("tensorflow", "jax", "torch"):
    raise ImportError(
        f"kgen runs on Keras with TensorFlow, JAX or torch; the backend is {keras.backend.backend()!r}. Set the "
        "environment variable KERAS_BACKEND to 'tensorflow', 'jax' or 'torch' before Keras is imported."
    )
_chosen = importlib.import_module(f"kgen.training.backend.{keras.backend.backend()}")

adapt_trainer = _chosen.adapt_trainer
apply_gradients = _chosen.apply_gradients
attach_state = _chosen.attach_state
batch_mean = _chosen.batch_mean
compiled = _chosen.compiled
give_state = _chosen.give_state
interruptible = _chosen.interruptible
has_accelerator = _chosen.has_accelerator
is_traced = _chosen.is_traced
kept_step = _chosen.kept_step
like_batch = _chosen.like_batch
on_whole_batch = _chosen.on_whole_batch
replica_index = _chosen.replica_index
replicas = _chosen.replicas
run_if = _chosen.run_if
run_step = _chosen.run_step
shared_forward = _chosen.shared_forward
step_logs = _chosen.step_logs
sum_over_replicas = _chosen.sum_over_replicas
value_and_grad = _chosen.value_and_grad
widest_float = _chosen.widest_float
without_gradients = _chosen.without_gradients


def input_gradient(function: Callable, inputs: Tensor) -> Tensor:
    """See above."""
    with not_gathering():
        return _chosen.input_gradient(function, inputs)


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """See above."""
    with not_gathering():
        return _chosen.value_if(condition, function, otherwise)
