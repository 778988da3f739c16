"""The training step of every kgen model, written once."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.training import backend
from kgen.training.phase_optimizer import Phase, PhaseOptimizer
from kgen.training.seeds import SeedGenerator


@serializable
class PhasedModel(keras.Model):
    """A `keras.Model` that says what it minimizes; `fit` does the rest.

    A subclass gives `phases()`, or holds an objective that does, and `prepare(x, y)` if its losses see another batch
    than `fit` was given. A training step runs each phase in order: it applies the gradients of the phase's loss with
    the phase's optimizer. It runs on TensorFlow, JAX and torch, under `tf.distribute` and `keras.distribution`, and
    with mixed precision. All state, random seeds included, is saved with the model, so training goes on where it
    stopped. The config is the constructor's arguments: each must be an attribute of the same name.

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
        if refused:
            raise TypeError(
                f"{type(self).__name__}.compile: {', '.join(sorted(refused))} has no meaning for this model, whose "
                "losses are its own; leave it out."
            )
        phases = self.phases()
        policy = self.dtype_policy.name
        optimizer = PhaseOptimizer.from_argument(optimizer, phases, self.default_optimizer, policy)
        metrics, config = list(metrics or []), dict(config or {})
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
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self._reported(phases)}

    @staticmethod
    def _reported(phases):
        totals = ["loss"] if len(phases) == 1 else [f"{phase.name}_loss" for phase in phases]
        return [*totals, *(name for phase in phases for name in (*phase.terms, *phase.measures))]

    def get_compile_config(self) -> dict:
        """What `compile` was called with, but for what cannot be saved, of which it warns."""
        if not self.compiled:
            return {}
        config = self.compile_arguments()
        metrics = list(filter(None, map(_serialized, config.pop("metrics"))))
        return {
            **self._saved_arguments(config),
            **({"metrics": metrics} if metrics else {}),
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
        }

    def _saved_arguments(self, config):
        """Arguments of `compile`, serialized, without other models and what Keras cannot serialize."""
        saved = {}
        for name, value in config.items():
            if not any(map(_has_weights, keras.tree.flatten(value))):
                try:
                    saved[name] = keras.saving.serialize_keras_object(value)
                    continue
                except (TypeError, ValueError, NotImplementedError):
                    pass
            warnings.warn(
                f"compile({name}=...) is not saved with {type(self).__name__}: give it again, "
                f"model.compile(model.optimizer, {name}=...), to train on with it.",
                stacklevel=3,
            )
        return saved

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was compiled."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list:
        """One mean for the loss of each phase, and one for each of its terms and measures."""
        return list(self.trackers.values()) if self.compiled else []

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
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _test_on(self, data):
        batch = self._batch(data)
        with backend.without_gradients():
            for phase in self.phases():
                self._report(phase, *self._loss(phase, batch, training=False))
            self.after_test(batch)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

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
        return sum(parts[name] for name in terms), parts

    def _report(self, phase, values, parts):
        total = f"{phase.name}_loss" if f"{phase.name}_loss" in self.trackers else "loss"
        with backend.without_gradients():
            for name in (*phase.terms, *phase.measures):
                self.trackers[name].update_state(parts[name])
            self.trackers[total].update_state(values)

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


def _has_weights(value):
    # A config would bring it back with other weights.
    return isinstance(value, keras.Model) or isinstance(value, keras.layers.Layer) and bool(value.weights)


def _serialized(metric):
    try:
        return keras.saving.serialize_keras_object(metric)
    except ValueError as why:
        warnings.warn(f"The metric {metric.name} is not saved with the model: {why}", stacklevel=3)
        return None
