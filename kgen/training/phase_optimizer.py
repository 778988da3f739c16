"""One optimizer for each phase, behind the one `model.optimizer` that Keras knows."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="kgen")
class PhaseOptimizer(keras.optimizers.Optimizer):
    """Optimizers by phase: what `PhasedModel.compile` makes of its `optimizer` argument.

    Each phase's variables are bound to its optimizer by identity, so a saved model that is loaded again finds the
    state of each one. Callbacks that change learning rates reach every phase's optimizer through `optimizers`.

    Args:
        optimizers: dict from phase name to `keras.optimizers.Optimizer`, or anything `keras.optimizers.get` takes.
        name: name of the whole.

    Raises:
        ValueError: if it is built with phases that it has no optimizer for, or that do not partition the variables.

    Example:

    ```python
    model.compile(optimizer=kgen.training.PhaseOptimizer({
        "discriminator": keras.optimizers.Adam(4e-4, beta_1=0.0),
        "generator": keras.optimizers.Adam(1e-4, beta_1=0.0),
    }))
    ```
    """

    def __init__(self, optimizers, name="phase_optimizer"):
        if not isinstance(optimizers, dict) or not optimizers:
            raise ValueError(
                "PhaseOptimizer: optimizers must be a dict from phase name to optimizer, such as "
                f"{{'generator': 'adam'}}; got {optimizers!r}."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.by_phase = {phase: keras.optimizers.get(optimizer) for phase, optimizer in optimizers.items()}
        if len({id(optimizer) for optimizer in self.by_phase.values()}) < len(self.by_phase):
            raise ValueError("PhaseOptimizer: each phase needs an optimizer of its own; one was given for two phases.")
        # Callbacks log each learning rate under its optimizer's name.
        for phase, optimizer in self.by_phase.items():
            optimizer.name = phase

    @classmethod
    def from_argument(cls, optimizer, phases, default, mixed_precision):
        """The `optimizer` argument of `compile`, whatever its form, as a `PhaseOptimizer` built for the phases.

        Args:
            optimizer: `"auto"`; one optimizer, of which each phase gets a copy; a dict by phase; a `PhaseOptimizer`.
            phases: list of `Phase`.
            default: what `"auto"` means: a function from phase name to optimizer.
            mixed_precision: name of the model's dtype policy. Under a mixed one each phase's steps are guarded: a
                step whose gradients are not all finite is skipped, and under float16 losses are scaled dynamically.
        """
        names = [phase.name for phase in phases]
        if isinstance(optimizer, cls):
            result = optimizer
        elif isinstance(optimizer, dict) and "class_name" not in optimizer:
            result = cls({name: _guarded(keras.optimizers.get(o), mixed_precision) for name, o in optimizer.items()})
        elif isinstance(optimizer, str) and optimizer == "auto":
            result = cls({name: _guarded(default(name), mixed_precision) for name in names})
        else:
            config = keras.optimizers.serialize(keras.optimizers.get(optimizer))
            del config["config"]["name"]
            result = cls({name: _guarded(keras.optimizers.deserialize(config), mixed_precision) for name in names})
        if sorted(result.by_phase) != sorted(names):
            raise ValueError(
                f"PhaseOptimizer: this model's phases are {names}; got optimizers for {sorted(result.by_phase)}. "
                "Give one for each phase, or a single optimizer for all."
            )
        if not result.built:
            result.build_for(phases)
        return result

    def build_for(self, phases):
        """Creates each phase's optimizer state. The phases' variables must not overlap."""
        owner = {}
        for phase in phases:
            for variable in phase.variables:
                if id(variable) in owner:
                    raise ValueError(
                        f"PhaseOptimizer: variable {variable.path} belongs to the phases {owner[id(variable)]!r} and "
                        f"{phase.name!r}. A variable is trained by one phase."
                    )
                owner[id(variable)] = phase.name
            self.by_phase[phase.name].build(list(phase.variables))
        # Phases, not bare lists of variables: an optimizer takes every variable among its attributes for its state.
        self.phases = {phase.name: phase for phase in phases}
        super().build([variable for phase in phases for variable in phase.variables])

    @property
    def optimizers(self):
        """The phases' optimizers, in order; Keras' learning-rate callbacks look for this."""
        return list(self.by_phase.values())

    @property
    def variables(self):
        """All state: the count of steps, then each phase's optimizer."""
        return [*super().variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def learning_rate(self):
        """The learning rate of every phase; refused where they differ."""
        rates = [float(keras.ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in self.optimizers]
        if len(set(rates)) > 1:
            raise AttributeError(
                f"PhaseOptimizer has a learning rate for each phase, now {dict(zip(self.by_phase, rates))}: see "
                "`model.optimizer.by_phase[name].learning_rate`."
            )
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        for optimizer in self.optimizers:
            optimizer.learning_rate = value

    def apply(self, grads, trainable_variables=None):
        """Refused: gradients are applied phase by phase."""
        raise RuntimeError("PhaseOptimizer: apply the gradients of one phase through `by_phase[name].apply`.")

    def finalize_variable_values(self, var_list):
        """Lets each phase's optimizer finish its own variables at the end of training."""
        for name, phase in self.phases.items():
            self.by_phase[name].finalize_variable_values(list(phase.variables))

    def save_own_variables(self, store):
        """Stores the step count; the phases' optimizers are saved as parts, like layers of a model."""
        for i, variable in enumerate(super().variables):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        """Loads the step count."""
        for i, variable in enumerate(super().variables):
            variable.assign(store[str(i)])

    # === Config ===
    def get_config(self):
        optimizers = {phase: keras.optimizers.serialize(o) for phase, o in self.by_phase.items()}
        return {"optimizers": optimizers, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            phase: keras.optimizers.deserialize(o, custom_objects) for phase, o in config["optimizers"].items()
        }
        return cls(optimizers, name=config["name"])


def _guarded(optimizer, policy):
    if not policy.startswith("mixed") or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    if policy == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    # bfloat16 has the range of float32: nothing to scale, so only the skipping of bad steps is used.
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0, dynamic_growth_steps=2**31 - 1)
