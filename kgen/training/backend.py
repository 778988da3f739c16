"""The one place that knows how TensorFlow, JAX and torch differ.

TensorFlow has a tape, torch has autograd, and JAX wants pure functions of all state. The rest of kgen is written with
`keras.ops` against the few functions below.
"""

from __future__ import annotations

import contextlib

import keras

# The variables whose values are threaded through the JAX step being traced, innermost step last.
_threaded: list[list] = []


def _jax_pure(function):
    """`function` as a pure one: takes values of all threaded variables, gives (its result, their new values)."""
    variables = _threaded[-1] if _threaded else []

    def pure(values, *args):
        with keras.StatelessScope(list(zip(variables, values))) as scope:
            result = function(*args)
        return result, [scope.get_current_value(v) for v in variables]

    return variables, pure


def _jax_assign(variables, before, after):
    for variable, old, new in zip(variables, before, after):
        if new is not old:
            variable.assign(new)


def value_and_grad(function, variables):
    """The value of a scalar function, and its gradients with respect to variables.

    Args:
        function: takes nothing, returns `(scalar, auxiliary tensors)`; may update `keras.Variable`s.
        variables: the `keras.Variable`s to differentiate with respect to.

    Returns:
        `(scalar, auxiliary), gradients`; the gradient of a variable that the function does not use is zero.
    """
    if keras.backend.backend() == "jax":
        import jax

        threaded, pure = _jax_pure(function)
        position = {id(v): i for i, v in enumerate(threaded)}
        indices = [position[id(v)] for v in variables]
        values = [v.value for v in threaded]

        def of_wanted(wanted):
            mixed = list(values)
            for i, value in zip(indices, wanted):
                mixed[i] = value
            (loss, auxiliary), after = pure(mixed)
            # What the caller differentiates by is not changed by its own loss; its tracer must not leave.
            for i in indices:
                after[i] = values[i]
            return loss, (auxiliary, after)

        wanted = [values[i] for i in indices]
        (loss, (auxiliary, after)), gradients = jax.value_and_grad(of_wanted, has_aux=True)(wanted)
        kept = set(indices)
        others = [i for i in range(len(threaded)) if i not in kept]
        _jax_assign([threaded[i] for i in others], [values[i] for i in others], [after[i] for i in others])
        return (loss, auxiliary), gradients

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        values = [v.value for v in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss, auxiliary = function()
        gradients = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return (loss, auxiliary), [tf.convert_to_tensor(g) for g in gradients]

    import torch

    values = [v.value for v in variables]
    loss, auxiliary = function()
    gradients = torch.autograd.grad(loss, values, allow_unused=True)
    return (loss, auxiliary), [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, values)]


def input_gradient(function, inputs):
    """The gradient of a per-sample function with respect to its input, itself differentiable.

    Args:
        function: maps `inputs`, shape `(batch, ...)`, to one value per sample, shape `(batch,)`; sample i of the
            result may depend on sample i of the input alone.
        inputs: the points at which to differentiate. No gradient flows on into what they were made from.

    Returns:
        A tensor of the shape of `inputs`.
    """
    inputs = keras.ops.stop_gradient(inputs)
    if keras.backend.backend() == "jax":
        import jax

        threaded, pure = _jax_pure(lambda x: keras.ops.sum(function(x)))
        values = [v.value for v in threaded]
        gradient, after = jax.grad(lambda x: pure(values, x), has_aux=True)(inputs)
        _jax_assign(threaded, values, after)
        return gradient

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            total = keras.ops.sum(function(inputs))
        return tape.gradient(total, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    import torch

    inputs = inputs.detach().requires_grad_(True)
    with torch.enable_grad():
        total = function(inputs).sum()
        if not total.requires_grad:
            return torch.zeros_like(inputs)
        return torch.autograd.grad(total, inputs, create_graph=True, materialize_grads=True)[0]


def run_if(condition, function):
    """Calls `function()` for its effects on variables where `condition`, a boolean scalar tensor, holds."""
    if keras.backend.backend() == "jax":
        import jax

        threaded, pure = _jax_pure(function)
        values = [v.value for v in threaded]
        after = jax.lax.cond(condition, lambda v: pure(v)[1], lambda v: v, values)
        _jax_assign(threaded, values, after)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def nothing():
            return tf.no_op()

        def something():
            function()
            return tf.no_op()

        if replicas() == 1:
            tf.cond(condition, something, nothing)
        else:
            # An optimizer step inside a branch must be entered from the cross-replica context; every replica counts
            # the same steps, so the first one's condition is everyone's. The function is passed along with it, or all
            # replicas would call the first one's, which holds the first one's share of the batch.
            def from_above(strategy, condition, something):
                def everywhere():
                    strategy.extended.call_for_each_replica(lambda own: own(), args=(something,))

                tf.cond(strategy.experimental_local_results(condition)[0], everywhere, lambda: None)

            tf.distribute.get_replica_context().merge_call(from_above, args=(condition, something))
    elif bool(condition):
        function()


def value_if(condition, function, otherwise):
    """`function()` where `condition`, a boolean scalar tensor, holds; else the tensor `otherwise`, and nothing is run.

    Gradients flow through it, and updates of variables in the function are kept.
    """
    if keras.backend.backend() == "jax":
        import jax

        threaded, pure = _jax_pure(function)
        values = [v.value for v in threaded]
        result, after = jax.lax.cond(condition, pure, lambda v: (otherwise, v), values)
        _jax_assign(threaded, values, after)
        return result
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.cond(condition, function, lambda: otherwise)
    return function() if bool(condition) else otherwise


def apply_gradients(optimizer, gradients, variables):
    """One step of a `keras.optimizers.Optimizer` on the variables that it was built with."""
    if keras.backend.backend() == "jax":
        state = optimizer.variables
        new_values, new_state = optimizer.stateless_apply(
            [v.value for v in state], gradients, [v.value for v in variables]
        )
        for variable, value in zip([*variables, *state], [*new_values, *new_state]):
            variable.assign(value)
    else:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and replicas() > 1:
            gradients = _bad_everywhere(gradients)
        with without_gradients(), _adam_in_one_kernel(optimizer):
            optimizer.apply(gradients, variables)


@contextlib.contextmanager
def _adam_in_one_kernel(optimizer):
    """A scope in which Adam updates a variable by TensorFlow's one kernel for it.

    Keras' Adam goes over the memory of a variable and its two slots about ten times; on a CPU that takes half as long
    again as all the rest of a small dense network's step. What surrounds it, from clipping to weight decay, stays.
    """
    adam = getattr(optimizer, "inner_optimizer", optimizer)
    is_plain = type(adam) is keras.optimizers.Adam and not adam.amsgrad
    if keras.backend.backend() != "tensorflow" or replicas() > 1 or not is_plain:
        yield
        return
    import tensorflow as tf

    def update_step(gradient, variable, learning_rate):
        index = adam._get_variable_index(variable)
        step = tf.cast(adam.iterations + 1, variable.dtype)
        beta_1, beta_2 = (tf.cast(beta, variable.dtype) for beta in (adam.beta_1, adam.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=adam._momentums[index].value.handle,
            v=adam._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(adam.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )

    adam.update_step = update_step
    try:
        yield
    finally:
        del adam.update_step


def _bad_everywhere(gradients):
    """The gradients; NaN on all replicas where one has any that is not finite: Keras asks the first replica alone."""
    import tensorflow as tf

    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
    bad = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, "float32"))
    return [tf.where(bad > 0.0, float("nan"), g) for g in gradients]


def without_gradients():
    """A scope for updates that nothing is differentiated through: torch must be told, the others know."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return contextlib.nullcontext()


def replicas():
    """The number of replicas that share a batch under the `tf.distribute` strategy in scope; 1 elsewhere."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def batch_mean(values):
    """The mean of one value per sample such that N replicas with shares of a batch equal one device with all of it.

    TensorFlow's optimizers sum gradients over replicas, so each contributes its sum divided by the size of the whole
    batch; shares may differ, as in the last batch of an epoch.
    """
    if replicas() > 1:
        import tensorflow as tf

        count = tf.cast(tf.shape(values)[0], values.dtype)
        count = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, count)
        return tf.reduce_sum(values) / count
    return keras.ops.mean(values)


def replica_index():
    """This replica's number under `tf.distribute`; 0 elsewhere."""
    if replicas() > 1:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None:
            return context.replica_id_in_sync_group
    return 0


def is_traced(tensor):
    """Whether code runs to be compiled, so that `tensor` has a shape but no value yet."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not tf.executing_eagerly()
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(tensor, jax.core.Tracer)
    return getattr(getattr(tensor, "device", None), "type", None) == "meta"


def widest_float():
    """The widest floating-point type of variables here: float64, but for JAX where it was not enabled."""
    if keras.backend.backend() == "jax":
        import jax

        return "float64" if jax.config.jax_enable_x64 else "float32"
    return "float64"


def run_step(step, groups, args):
    """Runs `step(data)` as Keras' trainer of this backend calls it.

    TensorFlow and torch call a train or test step with the data alone and let it update variables. JAX calls it with
    `(state, data)`, state being the values of the groups of variables, and wants `(logs, new state)` back.

    Args:
        step: takes the data, updates variables, returns the logs.
        groups: lists of variables, in the order in which Keras' JAX trainer passes their values.
        args: what the trainer passed to `train_step` or `test_step`.
    """
    if keras.backend.backend() == "torch":
        # `fit` converts what it loads to tensors; `train_on_batch` hands on the arrays that it was given.
        args = keras.tree.map_structure(lambda x: x if x is None else keras.ops.convert_to_tensor(x), args)
    if keras.backend.backend() != "jax":
        return step(*args)
    state, data = args
    variables = [v for group in groups for v in group]
    values = [value for group in state for value in group]
    _threaded.append(variables)
    try:
        with keras.StatelessScope(list(zip(variables, values))) as scope:
            logs = step(data)
    finally:
        _threaded.pop()
    return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)


def attach_state(model):
    """Gives a model's variables the values that training came to, for a callback within an epoch to read or write.

    JAX has them elsewhere until the epoch ends; TensorFlow and torch train the variables themselves.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def compiled(function, state):
    """A function of numpy arrays, compiled once whatever the length of their first axis.

    TensorFlow traces it with that axis unknown. JAX needs a fixed length, so batches are filled up to the next power
    of two by repeating their last row, and the answer is cut to size. torch runs as it is.

    Args:
        function: maps a dict of tensors `(rows, ...)` to a tensor `(rows, ...)`, each row by itself.
        state: function that gives the list of `keras.Variable`s read, whose values may change between calls.

    Returns:
        A function from a dict of numpy arrays to a numpy array.
    """
    if keras.backend.backend() == "jax":
        import jax
        import numpy as np

        def pure(values, inputs):
            # A gradient taken within must know of them too, or it would keep the values of the first call.
            variables = state()
            _threaded.append(variables)
            try:
                with keras.StatelessScope(list(zip(variables, values))):
                    return function(inputs)
            finally:
                _threaded.pop()

        pure = jax.jit(pure)

        def call(inputs):
            rows = len(next(iter(inputs.values())))
            fill = (1 << (rows - 1).bit_length()) - rows
            inputs = {k: np.concatenate([v, np.repeat(v[-1:], fill, axis=0)]) for k, v in inputs.items()}
            return np.asarray(pure([v.value for v in state()], inputs))[:rows]

        return call

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(function, reduce_retracing=True, autograph=False)

        def call(inputs):
            rows = {k: tf.convert_to_tensor(v) for k, v in inputs.items()}
            specification = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in rows.items()}
            return graph.get_concrete_function(specification)(rows).numpy()

        return call

    def call(inputs):
        with without_gradients():
            return keras.ops.convert_to_numpy(function({k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()}))

    return call
