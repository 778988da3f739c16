"""A `keras.Model` that defines what it minimizes: how it is compiled, fitted and saved."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.files import save_whole
from kgen.serializable import serializable
from kgen.training import backend
from kgen.training.compile_config import saved_arguments
from kgen.training.fit_with_backup import backup_among, fit_with_backup
from kgen.training.nonfinite import StepGuard, warn_of_slow_policy
from kgen.training.phase_optimizer import Phase, PhaseOptimizer
from kgen.training.seeds import SeedGenerator, adopt_seeds
from kgen.training.training_step import TrainingStep


@serializable
class PhasedModel(keras.Model):
    """A `keras.Model` that defines what it minimizes; `fit` does the rest.

    A subclass defines `phases()`, or has an objective that does, and `prepare(x, y)` if its losses see a different
    batch than `fit` was given. A training step runs each phase in order: it applies the gradients of the phase's loss
    with the phase's optimizer. The loss includes what the phase's networks add to it (weight regularizers, and for each
    call activity regularizers and `add_loss`), which is reported as `regularization`. With several phases the log
    `loss` is the sum of their losses: no measure of quality, but `TerminateOnNaN` needs it.

    It runs on TensorFlow, JAX and torch, under `tf.distribute` and `keras.distribution`, and with mixed precision.
    Several devices give the same result as one with the same batches: batch normalisation uses the whole batch, and a
    loss that compares samples does so in `kgen.training.backend.on_whole_batch`. All state, random seeds included, is
    saved with the model, so training resumes where it stopped. The config holds the constructor's arguments: each must
    be an attribute of the same name.

    Args:
        seed: 32-bit integer that starts the random numbers of training and evaluation. None: a random one.
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

    train_function: Any

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed = checks.seed(type(self).__name__, seed)
        self.objective: Any = None
        self.step = TrainingStep(self)
        self.training_seeds = SeedGenerator(seed)
        # Evaluation has its own generator; otherwise it would change the training that follows.
        self.evaluation_seeds = SeedGenerator(None if seed is None else seed + 1)

    # === What a subclass says ===
    def use_objective(self, objective: Any) -> None:
        """Takes an objective, such as one of `kgen.objectives`: the phases are then its phases."""
        objective.attach(self)
        self.objective = objective

    def phases(self) -> list[Phase]:
        """The list of `Phase`s of one training step, in order."""
        if self.objective is None:
            raise NotImplementedError(f"{type(self).__name__} must define phases() to say what it trains.")
        return self.objective.phases()

    def prepare(self, x: Any, y: Any = None) -> Any:
        """The batch that the losses see, from what `fit` was given."""
        return x if y is None else (x, y)

    def weighted(self, batch: Any, sample_weight: Any) -> Any:
        """A prepared batch with sample weights, in a model whose losses use them. Most models raise an error."""
        raise ValueError(
            f"{type(self).__name__}: sample_weight and class_weight have no meaning for this model; leave them out."
        )

    def after_step(self) -> None:
        """Runs after the last phase of a training step, for instance to update moving averages."""

    def after_test(self, batch: Any) -> None:
        """Runs after the losses of an evaluation step, for instance to measure what the model generates."""

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """The optimizer of a phase if `compile` was given none."""
        return keras.optimizers.Adam(1e-3) if self.objective is None else self.objective.default_optimizer(phase)

    def seeds(self, training: bool) -> SeedGenerator:
        """The `SeedGenerator` for the random numbers of a loss."""
        return self.training_seeds if training else self.evaluation_seeds

    def use_metrics(self, metrics: list) -> None:
        """Takes the list `metrics` of `compile`, before anything else is compiled. Most models have no metrics."""
        if metrics:
            raise TypeError(f"{type(self).__name__}.compile: this model supports no metrics; leave them out.")

    def saved_parts(self) -> dict[str, Any]:
        """What is saved with the model in addition to its variables: a dict from name to object.

        An object has two methods. `save(arrays)` puts NumPy arrays into an empty dict, by name. `load(arrays)` gets
        that dict back, empty if nothing was saved. No name may begin with another name followed by "_".
        """
        return {}

    # === Compiling ===
    def compile(
        self,
        optimizer: Any = "auto",
        *,
        metrics: list | None = None,
        config: dict | None = None,
        on_nonfinite: str | None = "raise",
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        **refused: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: `"auto"`; one optimizer (each phase gets a copy); a dict from phase name to optimizer.
            metrics: what to measure besides the losses, if the model can: see `use_metrics`.
            config: for subclasses: the other arguments of their `compile`, by name. They are saved with the model and
                passed to `compile` again on loading. A warning names those that cannot be saved: other models, layers
                with weights, and what Keras cannot serialize.
            on_nonfinite: what to do if the loss or the gradient of a phase is NaN or infinite. With "raise" and "skip"
                the phase is left out of that step, so its weights do not change. "raise": a FloatingPointError then
                names phase and step. "skip": training continues, and the logs have `skipped_steps`, the number in this
                epoch. None: nothing is checked. Under mixed_float16 gradients often overflow, and such steps are always
                skipped: there only the loss is checked.
            run_eagerly, steps_per_execution, jit_compile: as in `keras.Model.compile`.

        Raises:
            TypeError: for arguments of `keras.Model.compile` that have no meaning here, such as `loss_weights`.
            ValueError: for any other `on_nonfinite`.
        """
        phases = self.phases()
        if refused:
            hint = ", which defines its own losses; leave it out."
            if any("optimizer" in name for name in refused):
                by_phase = ", ".join(f"{phase.name!r}: ..." for phase in phases)
                hint = f": give optimizer={{{by_phase}}}, an optimizer for each phase, or one for all."
            names = ", ".join(sorted(refused))
            raise TypeError(f"{type(self).__name__}.compile: {names} has no meaning for this model{hint}")
        policy = self.dtype_policy.name
        warn_of_slow_policy(policy)
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
        backend.adapt_trainer(self)
        # Keras stores what "auto" became on this machine and backend, but a loaded model should choose again. In a
        # function, because Keras would treat layers among the arguments as layers of the model.
        self.compile_arguments = lambda: {**config, "metrics": metrics, "jit_compile": jit_compile}
        self.trackers, self.additions = self.step.trackers(phases)
        # Statistics of networks that learn: a NaN batch would spoil them too. Averages are left out: they update last.
        frozen = {id(v) for layer in self._flatten_layers() if not layer.trainable for v in layer.variables}
        state = [v for v in self.non_trainable_variables if id(v) not in frozen and "float" in v.dtype]
        self.guard = StepGuard(self, on_nonfinite, [phase.name for phase in phases], state)

    def get_compile_config(self) -> dict:
        """The arguments of `compile`, with a warning for each that cannot be saved."""
        if not self.compiled:
            return {}
        config = self.compile_arguments()
        metrics = config.pop("metrics")
        return {
            **saved_arguments(type(self).__name__, config, metrics),
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "on_nonfinite": self.guard.mode,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was compiled."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self) -> list:
        """A mean for the loss (of each phase and their sum, if there are several), and for each term and measure."""
        if not self.compiled:
            return []
        skipped = [] if self.guard.skipped is None else [self.guard.skipped]
        return [*self.trackers.values(), *self.additions.values(), *skipped]

    def get_metrics_result(self) -> dict[str, Any]:
        """What is reported now, by name."""
        added = {name: tracker for name, tracker in self.additions.items() if name in self.step.additions}
        skipped = {"skipped_steps": self.guard.skipped} if self.guard.mode == "skip" else {}
        return {name: tracker.result() for name, tracker in (self.trackers | added | skipped).items()}

    # === The step ===
    def train_step(self, *args):
        """One batch: every phase that is due, in order."""
        return backend.run_step(self.step.train, self._trained_state(), args, self._flatten_layers)

    def test_step(self, *args):
        """One batch: every phase's loss, without training."""
        return backend.run_step(self.step.test, self._tested_state(), args, self._flatten_layers)

    def _trained_state(self):
        """What Keras' trainer on JAX passes to a training step, in this order."""
        variables = self.trainable_variables, self.non_trainable_variables
        return [*variables, self.optimizer.variables, self.metrics_variables]

    def _tested_state(self):
        return [self.trainable_variables, self.non_trainable_variables, self.metrics_variables]

    # === Keras' hooks ===
    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; with a `kgen.callbacks.Backup` among the callbacks it resumes from the backup.

        Args:
            x, y, **kwargs: as in `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            FloatingPointError: if a loss is NaN or infinite, and `compile` was not told to go on; see `on_nonfinite`.
        """
        backup = backup_among(kwargs.get("callbacks"))
        if self.compiled:
            self.guard.begin()
        with backend.interruptible() as guards:
            if guards and not isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList):
                kwargs["callbacks"] = [*keras.tree.flatten(kwargs.get("callbacks") or []), *guards]
            train = super().fit if backup is None else partial(fit_with_backup, backup, self, super().fit)
            history = train(x, y, **kwargs)
        # If it is set, a callback such as TerminateOnNaN has already handled the NaN.
        if not self.stop_training:
            self.guard.end()
        return history

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.train_on_batch`; raises the same errors as `fit`."""
        if self.compiled:
            self.guard.begin()
        logs = super().train_on_batch(*args, **kwargs)
        self.guard.end()
        return logs

    def before_training(self) -> None:
        """Checks that the compiled phases still train all trainable variables; called before each training.

        From then on Keras' own layers draw random numbers like kgen's: see `kgen.training.seeds.adopt_seeds`.
        """
        trainable = {id(v) for v in self.trainable_variables}
        compiled = {id(v) for phase in self.optimizer.phases.values() for v in phase.variables}
        if trainable != compiled:
            raise ValueError(
                f"{type(self).__name__}: its phases train {len(compiled)} variables, but {len(trainable)} are "
                "trainable. Each of these must belong to one phase; call compile() after changing `trainable`."
            )
        adopt_seeds(self._flatten_layers())

    def make_train_function(self, force: bool = False) -> Any:
        """As `keras.Model.make_train_function`; it is called at the start of each training."""
        self.before_training()
        before = self.train_function
        super().make_train_function(force)
        if self.train_function is not before:
            kept = backend.kept_step(self, self.train_function, self._trained_state)
            self.train_function: Any = self.guard.watching(kept)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """As `keras.Model.make_test_function`."""
        super().make_test_function(force)
        self.test_function: Any = backend.kept_step(self, self.test_function, self._tested_state)

    def jax_state_sync(self) -> None:
        """Writes the values of a training on JAX into the variables, also if it was interrupted."""
        backend.give_state(self, super().jax_state_sync)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """As `keras.Model.save`. If it fails or is killed half-way, an older `.keras` file stays as it was."""
        options = {**kwargs, "overwrite": overwrite, "zipped": zipped}
        save_whole(super().save, filepath, ".keras", overwrite and zipped is not False, options)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """As `keras.Model.save_weights`. If it fails or is killed half-way, an older file stays as it was."""
        options = {"overwrite": overwrite, "max_shard_size": max_shard_size}
        save_whole(super().save_weights, filepath, ".weights.h5", overwrite and max_shard_size is None, options)

    def save_own_variables(self, store) -> None:
        """Also stores the seeds' state, which Keras leaves out, and the `saved_parts`."""
        bad = checks.nonfinite_weights(self.variables)
        if bad:
            warnings.warn(
                f"{type(self).__name__}: {len(bad)} of the saved weights are NaN or infinite, the first is {bad[0]}. "
                "A model loaded from this file will not work.",
                stacklevel=2,
            )
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
