"""Phases of a training step, and one optimizer per phase behind the single `model.optimizer` that Keras expects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kgen import checks


@dataclass(frozen=True)
class Phase:
    """One part of a training step: a loss, and the variables that it trains.

    A GAN trains in two phases, a VAE in one. `PhasedModel` runs a model's phases in order, each with its own optimizer.

    Args:
        name: what the phase trains. Its optimizer has this name, and the logs have `{name}_loss`.
        loss: `loss(batch, training)` gives one value per sample, shape `(batch,)`; or a dict of such tensors, whose
            keys are the names in `terms`, or `"loss"` where there are none, and those in `measures`. It is `keras.ops`
            code and may draw random numbers and update layer state.
        variables: the `keras.Variable`s that this phase trains.
        every: run the phase only in every `every`-th step, starting with the first.
        terms: names of the parts whose sum is the loss; each is reported.
        measures: names of other values that the loss function returns; they are reported, but not part of the loss.
        forward: computes, once a step and before the first phase, what the losses of all phases share.
            `forward(batch, training)` returns two dicts of tensors, which are added to the batch (a dict as well) that
            every loss sees. The gradient of this phase's loss flows through the first dict only, so the loss must not
            use the phase's variables again. The other phases' gradients stop at both dicts. So a GAN's two players see
            the same generated images, for one pass of the generator.

    Raises:
        ValueError: if `every` is not an integer of at least 1, or is above 1 with `forward`; if two parts have the same
            name; or if there is nothing to train.

    Example:

    ```python
    kgen.training.Phase("generator", self.generator_loss, self.generator.trainable_variables)
    ```
    """

    name: str
    loss: Callable
    variables: Sequence
    every: int = 1
    terms: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    forward: Callable | None = None

    def __post_init__(self):
        checks.integer(f"Phase {self.name!r}", "every", self.every)
        if len({"loss", *self.terms, *self.measures}) < 1 + len(self.terms) + len(self.measures):
            raise ValueError(
                f"Phase {self.name!r}: terms and measures need unique names other than 'loss'; got the terms "
                f"{list(self.terms)} and the measures {list(self.measures)}."
            )
        if self.forward is not None and self.every > 1:
            raise ValueError(
                f"Phase {self.name!r}: the outputs of forward are needed in every step, so every must be 1; got "
                f"{self.every}."
            )
        if not self.variables:
            raise ValueError(
                f"Phase {self.name!r}: there is nothing to train. A phase needs at least one trainable variable; "
                "was the network built, and is its `trainable` True?"
            )


@keras.saving.register_keras_serializable(package="kgen")
class PhaseOptimizer(keras.optimizers.Optimizer):
    """An optimizer for each phase of a `PhasedModel`; `compile` makes one from its `optimizer` argument.

    Each optimizer is bound to its phase's variables by identity, so its state is restored when a saved model is loaded.
    Callbacks that change learning rates reach every phase's optimizer through `optimizers`.

    Args:
        optimizers: dict from phase name to `keras.optimizers.Optimizer`, or anything `keras.optimizers.get` takes.
        name: name of the `PhaseOptimizer`.

    Raises:
        ValueError: if `optimizers` is not such a dict, or if one optimizer is given for two phases.

    Example:

    ```python
    model.compile(optimizer=kgen.training.PhaseOptimizer({
        "discriminator": keras.optimizers.Adam(4e-4, beta_1=0.0),
        "generator": keras.optimizers.Adam(1e-4, beta_1=0.0),
    }))
    ```
    """

    def __init__(self, optimizers: dict[str, Any], name: str = "phase_optimizer"):
        if not isinstance(optimizers, dict) or not optimizers:
            raise ValueError(
                "PhaseOptimizer: optimizers must be a dict from phase name to optimizer, such as "
                f"{{'generator': 'adam'}}; got {optimizers!r}."
            )
        super().__init__(learning_rate=0.0, name=name)
        # Whether more calls of `fit` follow in the same training.
        self.goes_on = False
        self.by_phase = {phase: keras.optimizers.get(optimizer) for phase, optimizer in optimizers.items()}
        if len({id(optimizer) for optimizer in self.by_phase.values()}) < len(self.by_phase):
            raise ValueError("PhaseOptimizer: each phase needs its own optimizer; two phases were given the same one.")
        self.name_optimizers()

    @classmethod
    def from_argument(
        cls, optimizer: Any, phases: Sequence[Phase], default: Callable, mixed_precision: str
    ) -> PhaseOptimizer:
        """A `PhaseOptimizer`, built for the phases, from the `optimizer` argument of `compile`.

        Args:
            optimizer: `"auto"`; one optimizer (each phase gets a copy); a dict by phase; a `PhaseOptimizer`. That keeps
                its state, unless the phases now train other variables.
            phases: list of `Phase`.
            default: what `"auto"` means: a function from phase name to optimizer.
            mixed_precision: name of the model's dtype policy. Under "mixed_float16" losses are scaled dynamically, and
                a step whose scaled gradients are not all finite is skipped.

        Raises:
            ValueError: if the phases do not have exactly one optimizer each.
        """
        names = [phase.name for phase in phases]
        if isinstance(optimizer, cls):
            result = optimizer if optimizer.trains(phases) else cls.from_config(optimizer.get_config())
        elif isinstance(optimizer, dict) and "class_name" not in optimizer:
            result = cls(optimizer)
        elif isinstance(optimizer, str) and optimizer == "auto":
            result = cls({name: default(name) for name in names})
        else:
            config = keras.optimizers.serialize(keras.optimizers.get(optimizer))
            del config["config"]["name"]
            # Keras' LossScaleOptimizer takes its config apart when it is made.
            result = cls({name: keras.optimizers.deserialize(copy.deepcopy(config)) for name in names})
        if sorted(result.by_phase) != sorted(names):
            raise ValueError(
                f"PhaseOptimizer: this model's phases are {names}; got optimizers for {sorted(result.by_phase)}. "
                "Give one for each phase, or a single optimizer for all."
            )
        if not result.built:
            result.by_phase = {name: _scaled(each, mixed_precision) for name, each in result.by_phase.items()}
            result.name_optimizers()
            result.build_for(phases)
        return result

    def name_optimizers(self) -> None:
        """Names each phase's optimizer like its phase: callbacks log each learning rate under that name."""
        for phase, optimizer in self.by_phase.items():
            optimizer.name = phase

    def trains(self, phases: Sequence[Phase]) -> bool:
        """Whether its state, if there is any, is of just the variables of these phases."""
        found = {phase.name: {id(v) for v in phase.variables} for phase in phases}
        return not self.built or found == {name: {id(v) for v in own.variables} for name, own in self.phases.items()}

    def build_for(self, phases: Sequence[Phase]) -> None:
        """Creates each phase's optimizer state. The phases' variables must not overlap."""
        owner: dict[int, str] = {}
        for phase in phases:
            for variable in phase.variables:
                if id(variable) in owner:
                    raise ValueError(
                        f"PhaseOptimizer: variable {variable.path} belongs to the phases {owner[id(variable)]!r} and "
                        f"{phase.name!r}. A variable must be trained by only one phase."
                    )
                owner[id(variable)] = phase.name
            self.by_phase[phase.name].build(list(phase.variables))
        # Phases, not bare lists of variables: Keras counts variables among an optimizer's attributes as its state.
        self.phases = {phase.name: phase for phase in phases}
        super().build([variable for phase in phases for variable in phase.variables])

    @property
    def optimizers(self) -> list:
        """The phases' optimizers, in order; Keras' learning-rate callbacks look for this."""
        return list(self.by_phase.values())

    @property
    def variables(self) -> list:
        """All state: the step count, then the state of each phase's optimizer."""
        return [*super().variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def learning_rate(self) -> Any:
        """The learning rate of all phases, a copy if there are several: set it by `=`.

        Raises:
            AttributeError: if the phases have different rates.
        """
        rates = [float(keras.ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in self.optimizers]
        if len(set(rates)) > 1:
            raise AttributeError(
                f"PhaseOptimizer has a learning rate for each phase, now {dict(zip(self.by_phase, rates))}: see "
                "`model.optimizer.by_phase[name].learning_rate`."
            )
        return self.optimizers[0].learning_rate if len(rates) == 1 else keras.ops.convert_to_tensor(rates[0])

    @learning_rate.setter
    def learning_rate(self, value):
        for optimizer in self.optimizers:
            optimizer.learning_rate = value

    def apply(self, grads, trainable_variables=None):
        """Raises: each phase's gradients are applied by its own optimizer."""
        raise RuntimeError("PhaseOptimizer: apply the gradients of one phase through `by_phase[name].apply`.")

    def finalize_variable_values(self, var_list):
        """Lets each phase's optimizer finalize its own variables at the end of training, unless it `goes_on`."""
        for name, phase in self.phases.items():
            if not self.goes_on:
                self.by_phase[name].finalize_variable_values(list(phase.variables))

    def save_own_variables(self, store):
        """Stores the step count; the phases' optimizers are saved separately, like layers of a model."""
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


def _scaled(optimizer, policy):
    # bfloat16 has the range of float32, so no scaling is needed; `StepGuard` looks for bad steps.
    if policy != "mixed_float16" or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
