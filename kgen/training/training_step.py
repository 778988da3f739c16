"""The training step of every kgen model, written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from kgen.training import backend
from kgen.training.nonfinite import all_finite
from kgen.training.phase_optimizer import Phase
from kgen.training.regularization import gathering, layers_of, regularization
from kgen.types import Tensor


class TrainingStep:
    """What a batch does to a `PhasedModel`, in training and in evaluation.

    Args:
        model: the `PhasedModel`; its phases, `prepare`, `weighted`, `after_step`, `after_test`, optimizer, guard and
            metrics are what the step is made of.
    """

    def __init__(self, model: Any):
        self.model = model
        # Log names of what layers added to losses. Only calling the layers shows whether they add any.
        self.additions: set[str] = set()

    def train(self, data: Any) -> dict[str, Tensor]:
        """One batch: every phase that is due, in order. Returns the logs."""
        batch = self._batch(data)
        step = self.model.optimizer.iterations
        phases = self.model.phases()
        before = self.model.guard.snapshot()
        # By phase: how to get the gradient of its loss. And what any phase's `forward` made, for all losses.
        ways: dict[str, Callable] = {}
        shared: dict[str, Tensor] = {}
        for phase in phases:
            if phase.forward is None:
                ways[phase.name] = partial(_value_and_grad, phase.variables)
            else:
                function = partial(self._forward, phase, batch, training=True)
                ((made, _), beside), ways[phase.name] = backend.shared_forward(function, phase.variables)
                shared = {**shared, **made, **beside}
        batch = {**batch, **shared} if shared else batch
        for phase in phases:
            train = partial(self._train_phase, phase, batch, before, ways[phase.name])
            if phase.every == 1:
                train()
            else:
                backend.run_if(ops.equal(ops.mod(step, phase.every), 0), train)
        self.model.after_step()
        step.assign(step + 1)
        return {**self.model.get_metrics_result(), **self.model.guard.logs()}

    def test(self, data: Any) -> dict[str, Tensor]:
        """One batch: every phase's loss, without training. Returns the logs."""
        batch = seen = self._batch(data)
        phases = self.model.phases()
        added = {}
        with backend.without_gradients():
            for phase in phases:
                if phase.forward is not None:
                    (made, added[phase.name]), beside = self._forward(phase, batch, training=False)
                    seen = {**seen, **made, **beside}
            for phase in phases:
                self._report(phase, *self._loss(phase, seen, False, added.get(phase.name)))
            self.model.after_test(batch)
        return self.model.get_metrics_result()

    def _batch(self, data):
        # Keras turns a `class_weight` into sample weights.
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batch = self.model.prepare(x, y)
        return batch if sample_weight is None else self.model.weighted(batch, sample_weight)

    def _forward(self, phase, batch, training):
        """`((tensors of a phase for all losses, list of what is added to its own loss), tensors without gradients)`."""
        with gathering(layers_of(self.model.layers, phase.variables)) as added:
            made, beside = phase.forward(batch, training)
        extra = regularization(phase.variables, added)
        return (made, [] if extra is None else [extra]), beside

    def _train_phase(self, phase, batch, before, value_and_grad):
        optimizer = self.model.optimizer.by_phase[phase.name]

        def scaled_loss(outputs):
            made, added = ({}, None) if outputs is None else outputs
            values, parts = self._loss(phase, {**batch, **made} if made else batch, True, added)
            return optimizer.scale_loss(backend.batch_mean(values)), (values, parts)

        guard = self.model.guard
        (loss, (values, parts)), gradients = value_and_grad(scaled_loss)

        def apply():
            backend.apply_gradients(optimizer, gradients, list(phase.variables))

        def report():
            self._report(phase, values, parts)

        if guard.mode is None:
            apply()
            report()
            return
        skips = guard.mode == "skip"
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It skips steps itself if the scaled gradients overflow; a loss that is not finite has another cause.
            apply()
            finite, good = all_finite([values]), [report] if skips else []
        else:
            finite, good = all_finite([loss, *gradients]), [apply, report] if skips else [apply]
        guard.run(
            finite, lambda: [function() for function in good], before, phase.name, self.model.optimizer.iterations
        )
        if not skips:
            # Includes the NaN, which callbacks look for.
            report()

    def _loss(self, phase, batch, training, already=None):
        """`(one value per sample in float32, dict of its terms and measures)` of a phase.

        `already` is the list of what the phase's `forward` has added to the loss; None if the phase has no `forward`.
        """
        with gathering(layers_of(self.model.layers, phase.variables)) as added:
            result = phase.loss(batch, training)
        wrong = f"{type(self.model).__name__}: the loss of phase {phase.name!r}"
        parts = result if isinstance(result, dict) else {"loss": result}
        terms = phase.terms or ("loss",)
        if set(parts) != {*terms, *phase.measures}:
            raise ValueError(
                f"{wrong} returned {sorted(parts)}; the phase declares the terms {sorted(terms)} and the measures "
                f"{sorted(phase.measures)}."
            )
        for name, value in parts.items():
            if len(value.shape) != 1:
                raise ValueError(
                    f"{wrong} must give one value per sample, shape (batch,); {name} has shape {tuple(value.shape)}."
                )
        parts = {name: ops.cast(value, "float32") for name, value in parts.items()}
        values = sum(parts[name] for name in terms)
        extra = regularization(phase.variables, added) if already is None else sum(already) if already else None
        if extra is not None:
            # Added to every sample: the mean over all replicas' samples is then right, whatever their shares.
            parts[_added_name(phase, self.model.trackers)] = extra + ops.zeros_like(values)
            values = values + extra
        return values, parts

    def _report(self, phase, values, parts):
        total = f"{phase.name}_loss" if f"{phase.name}_loss" in self.model.trackers else "loss"
        with backend.without_gradients():
            for name in (*phase.terms, *phase.measures):
                self.model.trackers[name].update_state(parts[name])
            self.model.trackers[total].update_state(values)
            name = _added_name(phase, self.model.trackers)
            if name in parts:
                self.additions.add(name)
                self.model.additions[name].update_state(parts[name])

    def trackers(self, phases: Sequence[Phase]) -> tuple[dict[str, Any], dict[str, Any]]:
        """New metrics by log name: for losses, terms and measures; and for what layers add to losses."""
        self.additions = set()
        totals = ["loss"] if len(phases) == 1 else [f"{phase.name}_loss" for phase in phases]
        names = [*totals, *(name for phase in phases for name in (*phase.terms, *phase.measures))]
        trackers: dict[str, Any] = {name: keras.metrics.Mean(name=name) for name in names}
        additions = {name: keras.metrics.Mean(name=name) for name in (_added_name(each, trackers) for each in phases)}
        if len(phases) > 1:
            trackers = {"loss": _Sum([trackers[name] for name in totals]), **trackers}
        return trackers, additions


def _value_and_grad(variables, loss_of):
    return backend.value_and_grad(lambda: loss_of(None), variables)


def _added_name(phase, trackers):
    return f"{phase.name}_regularization" if f"{phase.name}_loss" in trackers else "regularization"


class _Sum(keras.metrics.Metric):
    """The sum of other metrics, which hold the state."""

    def __init__(self, parts):
        super().__init__(name="loss")
        # In a function: Keras would count their variables twice.
        self.parts = lambda: parts

    def result(self):
        return sum(part.result() for part in self.parts())
