"""The training step of every kgen model, written once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.training import backend
from kgen.training.compile_config import saved_arguments
from kgen.training.phase_optimizer import Phase, PhaseOptimizer
from kgen.training.regularization import gathering, layers_of, regularization
from kgen.training.seeds import SeedGenerator


@serializable
class PhasedModel(keras.Model):
    """A `keras.Model` that says what it minimizes; `fit` does the rest.

    A subclass gives `phases()`, or holds an objective that does, and `prepare(x, y)` if its losses see another batch
    than `fit` was given. A training step runs each phase in order: it applies the gradients of the phase's loss with
    the phase's optimizer. What the networks of a phase add to its loss, by regularizers of weights, activity
    regularizers and `add_loss`, once for each of their calls, is part of it, and reported as `regularization`. Of
    several phases the log `loss` is the sum: no measure of quality, but what `TerminateOnNaN` looks at.

    It runs on TensorFlow, JAX and torch, under `tf.distribute` and `keras.distribution`, and with mixed precision. All
    state, random seeds included, is saved with the model, so training goes on where it stopped. The config is the
    constructor's arguments: each must be an attribute of the same name.

    Args:
        seed: where the random numbers of training and evaluation begin; a 32-bit integer. None: anywhere.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class Regression(kgen.training.PhasedModel):
        def __init__(self, network, **kwargs):
            super().__init__(**kwargs)
            self.network = network
            self.built = True

        def phases(self):
            return [kgen.training.Phase("network", self.network_loss, self.network.trainable_variables)]

        def network_loss(self, batch, training):
            x, y = batch
            return keras.ops.mean((self.network(x, training=training) - y) ** 2, axis=-1)

    model = Regression(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    model.compile()
    model.fit(x, y)      # arrays `(N, 2)` and `(N, 1)`
    ```
    """

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed = checks.seed(type(self).__name__, seed)
        # Evaluation draws from a generator of its own, or it would change the training that follows it.
        self.objective: Any = None
        self.training_seeds = SeedGenerator(seed)
        self.evaluation_seeds = SeedGenerator(None if seed is None else seed + 1)

    # === What a subclass says ===
    def use_objective(self, objective: Any) -> None:
        """Takes an objective, such as one of `kgen.objectives`: the phases are then its phases."""
        objective.attach(self)
        self.objective = objective

    def phases(self) -> list[Phase]:
        """The list of `Phase`s of one training step, in order."""
        if self.objective is None:
            raise NotImplementedError(f"{type(self).__name__} must say what it trains: define phases().")
        return self.objective.phases()

    def prepare(self, x: Any, y: Any = None) -> Any:
        """The batch that the losses see, from what `fit` was given."""
        return x if y is None else (x, y)

    def weighted(self, batch: Any, sample_weight: Any) -> Any:
        """A prepared batch with the weights of its samples, in a model whose losses see them. Most refuse."""
        raise ValueError(
            f"{type(self).__name__}: sample_weight and class_weight have no meaning for this model; leave them out."
        )

    def after_step(self) -> None:
        """Runs after the last phase of a training step, for instance to update moving averages."""

    def after_test(self, batch: Any) -> None:
        """Runs after the losses of an evaluation step, for instance to measure what the model generates."""

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """The optimizer of a phase if `compile` is not given one."""
        return keras.optimizers.Adam(1e-3) if self.objective is None else self.objective.default_optimizer(phase)

    def seeds(self, training: bool) -> SeedGenerator:
        """The `SeedGenerator` for the random numbers of a loss."""
        return self.training_seeds if training else self.evaluation_seeds

    def use_metrics(self, metrics: list) -> None:
        """Takes the list `metrics` of `compile`, before anything else is compiled. Most models measure nothing."""
        if metrics:
            raise TypeError(f"{type(self).__name__}.compile: this model measures nothing: leave out metrics.")

    def saved_parts(self) -> dict[str, Any]:
        """What is saved with the model beside its variables: a dict from name to object.

        An object has two methods. `save(arrays)` puts NumPy arrays into an empty dict, by name. `load(arrays)` gets
        such a dict back; it is empty if nothing was saved. No name may begin with another name and "_".
        """
        return {}

    # === Compiling ===
    def compile(
        self,
        optimizer: Any = "auto",
        *,
        metrics: list | None = None,
        config: dict | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        **refused: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: `"auto"`; one optimizer (each phase gets a copy); a dict from phase name to optimizer.
            metrics: what to measure beside the losses, where a model can: see `use_metrics`.
            config: for subclasses: the other arguments that their `compile` was given, by name. They are saved with the
                model, and given to `compile` again when it is loaded. A warning names those that cannot be saved: other
                models, layers with weights, and what Keras cannot serialize.
            run_eagerly, steps_per_execution, jit_compile: as in `keras.Model.compile`.

        Raises:
            TypeError: for arguments of `keras.Model.compile` that have no meaning here, such as `loss_weights`.
        """
        phases = self.phases()
        if refused:
            hint = ", whose losses are its own; leave it out."
            if any("optimizer" in name for name in refused):
                by_phase = ", ".join(f"{phase.name!r}: ..." for phase in phases)
                hint = f": give optimizer={{{by_phase}}}, an optimizer for each phase, or one for all."
            names = ", ".join(sorted(refused))
            raise TypeError(f"{type(self).__name__}.compile: {names} has no meaning for this model{hint}")
        policy = self.dtype_policy.name
        optimizer = PhaseOptimizer.from_argument(optimizer, phases, self.default_optimizer, policy)
        metrics = list(metrics or []) if isinstance(metrics, (list, tuple, type(None))) else [metrics]
        config = dict(config or {})
        self.use_metrics(metrics)
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=False,
        )
        # Keras keeps what "auto" came to on this machine and backend; a saved model is to choose again. In a function,
        # as Keras would take layers among the arguments for layers of the model.
        self.compile_arguments = lambda: {**config, "metrics": metrics, "jit_compile": jit_compile}
        self.trackers: dict[str, Any] = {name: keras.metrics.Mean(name=name) for name in self._reported(phases)}
        if len(phases) > 1:
            self.trackers = {"loss": _Sum([self.trackers[f"{each.name}_loss"] for each in phases]), **self.trackers}
        # Whether layers add to a loss is known once they are called; what none did is left out of the logs.
        self._added = {name: keras.metrics.Mean(name=name) for name in map(self._added_name, phases)}
        self._adds: set[str] = set()

    @staticmethod
    def _reported(phases):
        totals = ["loss"] if len(phases) == 1 else [f"{phase.name}_loss" for phase in phases]
        return [*totals, *(name for phase in phases for name in (*phase.terms, *phase.measures))]

    def _added_name(self, phase):
        return f"{phase.name}_regularization" if f"{phase.name}_loss" in self.trackers else "regularization"

    def get_compile_config(self) -> dict:
        """What `compile` was called with, but for what cannot be saved, of which it warns."""
        if not self.compiled:
            return {}
        config = self.compile_arguments()
        metrics = config.pop("metrics")
        return {
            **saved_arguments(type(self).__name__, config, metrics),
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was compiled."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list:
        """The loss, one mean for that of each of several phases, and one for each of their terms and measures."""
        return [*self.trackers.values(), *self._added.values()] if self.compiled else []

    def logs(self) -> dict[str, Any]:
        """What is reported now, by name."""
        added = {name: tracker for name, tracker in self._added.items() if name in self._adds}
        return {name: tracker.result() for name, tracker in (self.trackers | added).items()}

    def get_metrics_result(self) -> dict:
        """As `logs`."""
        return self.logs()

    # === The step ===
    def train_step(self, *args):
        """One batch: every phase that is due, in order."""
        groups = [
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        ]
        return backend.run_step(self._train_on, groups, args)

    def test_step(self, *args):
        """One batch: every phase's loss, with nothing trained."""
        groups = [self.trainable_variables, self.non_trainable_variables, self.metrics_variables]
        return backend.run_step(self._test_on, groups, args)

    def _train_on(self, data):
        batch = self._batch(data)
        step = self.optimizer.iterations
        for phase in self.phases():
            if phase.every == 1:
                self._train_phase(phase, batch)
            else:
                due = ops.equal(ops.mod(step, phase.every), 0)
                backend.run_if(due, lambda phase=phase: self._train_phase(phase, batch))
        self.after_step()
        step.assign(step + 1)
        return self.logs()

    def _test_on(self, data):
        batch = self._batch(data)
        with backend.without_gradients():
            for phase in self.phases():
                self._report(phase, *self._loss(phase, batch, training=False))
            self.after_test(batch)
        return self.logs()

    def _batch(self, data):
        # Keras makes weights of samples of a `class_weight`.
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batch = self.prepare(x, y)
        return batch if sample_weight is None else self.weighted(batch, sample_weight)

    def _train_phase(self, phase, batch):
        optimizer = self.optimizer.by_phase[phase.name]

        def scaled_loss():
            values, parts = self._loss(phase, batch, training=True)
            return optimizer.scale_loss(backend.batch_mean(values)), (values, parts)

        (_, (values, parts)), gradients = backend.value_and_grad(scaled_loss, phase.variables)
        backend.apply_gradients(optimizer, gradients, list(phase.variables))
        self._report(phase, values, parts)

    def _loss(self, phase, batch, training):
        """`(one value per sample in float32, dict of its terms and measures)` of a phase."""
        with gathering(layers_of(self.layers, phase.variables)) as added:
            result = phase.loss(batch, training)
        parts = result if isinstance(result, dict) else {"loss": result}
        terms = phase.terms or ("loss",)
        if set(parts) != {*terms, *phase.measures}:
            raise ValueError(
                f"{type(self).__name__}: the loss of phase {phase.name!r} gave {sorted(parts)}; the phase names the "
                f"terms {sorted(terms)} and the measures {sorted(phase.measures)}."
            )
        for name, value in parts.items():
            if len(value.shape) != 1:
                raise ValueError(
                    f"{type(self).__name__}: the loss of phase {phase.name!r} must give one value per sample, shape "
                    f"(batch,); {name} has shape {tuple(value.shape)}."
                )
        parts = {name: ops.cast(value, "float32") for name, value in parts.items()}
        values = sum(parts[name] for name in terms)
        extra = regularization(phase.variables, added)
        if extra is not None:
            # Beside every sample: the mean over the samples of all replicas is right then, whatever their shares.
            parts[self._added_name(phase)] = extra + ops.zeros_like(values)
            values = values + extra
        return values, parts

    def _report(self, phase, values, parts):
        total = f"{phase.name}_loss" if f"{phase.name}_loss" in self.trackers else "loss"
        with backend.without_gradients():
            for name in (*phase.terms, *phase.measures):
                self.trackers[name].update_state(parts[name])
            self.trackers[total].update_state(values)
            name = self._added_name(phase)
            if name in parts:
                self._adds.add(name)
                self._added[name].update_state(parts[name])

    # === Keras' hooks ===
    def make_train_function(self, force: bool = False) -> Any:
        """Also checks, at the start of each training, that the compiled phases still train all trainable variables."""
        trainable = {id(v) for v in self.trainable_variables}
        compiled = {id(v) for phase in self.optimizer.phases.values() for v in phase.variables}
        if trainable != compiled:
            raise ValueError(
                f"{type(self).__name__}: its phases train {len(compiled)} variables, but {len(trainable)} are "
                "trainable. Every trainable variable belongs to one phase; call compile() after changing `trainable`."
            )
        return super().make_train_function(force)

    def save_own_variables(self, store) -> None:
        """Also stores the seeds' state, which Keras leaves out, and the `saved_parts`."""
        super().save_own_variables(store)
        for i, state in enumerate(self._seed_states()):
            store[f"seed_{i}"] = ops.convert_to_numpy(state)
        for name, part in self.saved_parts().items():
            arrays: dict[str, np.ndarray] = {}
            part.save(arrays)
            for key, array in arrays.items():
                store[f"{name}_{key}"] = array

    def load_own_variables(self, store) -> None:
        """Also loads the seeds' state and the `saved_parts`."""
        saved = {key: store[key] for key in store.keys()}
        for i, state in enumerate(self._seed_states()):
            if f"seed_{i}" in saved:
                state.assign(saved.pop(f"seed_{i}"))
        for name, part in self.saved_parts().items():
            own = [key for key in saved if key.startswith(f"{name}_")]
            part.load({key.removeprefix(f"{name}_"): np.asarray(saved.pop(key)) for key in own})
        super().load_own_variables(saved)

    def _seed_states(self):
        return [v for v in self.non_trainable_variables if v.name == "seed_generator_state"]


class _Sum(keras.metrics.Metric):
    """The sum of other metrics, which keep its state."""

    def __init__(self, parts):
        super().__init__(name="loss")
        # In a function: Keras would count their variables twice.
        self.parts = lambda: parts

    def result(self):
        return sum(part.result() for part in self.parts())
