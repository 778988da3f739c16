"""Training steps with NaN or infinite numbers: detected on the device, skipped, and reported."""

from __future__ import annotations

import functools
import warnings
from collections import deque
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from kgen.training import backend
from kgen.types import Tensor

# A training step adds this to its logs, only for `StepGuard`.
_FIRST = "first_nonfinite_step"


class SkippedSteps(keras.metrics.Metric):
    """How often a phase was left out of a training step in this epoch, plus the first such step and its phase."""

    def __init__(self, name: str = "skipped_steps"):
        super().__init__(name=name, dtype="float32")
        self.count, self.first, self.phase = (
            self.add_variable(shape=(), initializer="zeros", name=name) for name in ("count", "first", "phase")
        )

    def update_state(self, step: Tensor, phase: int) -> None:
        """Counts one; `step` is the number of steps made before this one."""
        is_first = ops.equal(self.count, 0.0)
        for variable, value in ((self.first, ops.cast(step, "float32") + 1.0), (self.phase, float(phase))):
            variable.assign(ops.where(is_first, value, ops.convert_to_tensor(variable)))
        # Keras sums the replicas' counts, and they all leave out the same steps.
        self.count.assign(self.count + 1.0 / backend.replicas())

    def result(self) -> Tensor:
        """The count."""
        return ops.convert_to_tensor(self.count)


class StepGuard:
    """Leaves a phase out of a training step if its loss or gradients are not finite, and reports it.

    Weights and the optimizer's state stay as they were before that phase. Other state of the networks, such as
    BatchNorm's statistics, is reset to its values before the step. The host checks two steps later whether a phase was
    left out, so no step waits for it.

    Args:
        model: the model in training.
        mode: "raise" an error; "skip" and go on; or None: nothing is checked.
        phases: names of the model's phases.
        state: variables that losses change but that belong to no phase.

    Raises:
        ValueError: for any other mode.
    """

    def __init__(self, model: keras.Model, mode: str | None, phases: Sequence[str], state: Sequence):
        if mode not in ("raise", "skip", None):
            raise ValueError(
                f'{type(model).__name__}.compile: on_nonfinite must be "raise", "skip" or None; got {mode!r}.'
            )
        self.model = model
        self.mode = mode
        self.phases = list(phases)
        self.state = list(state)
        self.skipped = None if mode is None else SkippedSteps()
        # A callback that handles NaN itself sets this; no error is raised meanwhile.
        self.watched = False
        self._flags: deque = deque()

    # === In a step ===
    def snapshot(self) -> list[Tensor]:
        """The values of `state` now."""
        with backend.without_gradients():
            return [ops.copy(v) for v in self.state]

    def run(self, finite: Tensor, function: Callable, before: Sequence, phase: str, step: Tensor) -> None:
        """Calls `function()` if all is finite; else resets `state` to the snapshot `before` and counts the step."""

        def left_out():
            with backend.without_gradients():
                for variable, value in zip(self.state, before):
                    variable.assign(value)
                self.skipped.update_state(step, self.phases.index(phase))

        backend.run_if(finite, function, left_out)

    def logs(self) -> dict[str, Tensor]:
        """What a training step adds to its logs: the first bad step of the epoch, 0 for none, and its phase."""
        if self.skipped is None:
            return {}
        return {_FIRST: ops.stack([self.skipped.first + 0.0, self.skipped.phase + 0.0])}

    # === On the host ===
    def watching(self, function: Callable) -> Callable:
        """A `train_function` that first checks the step before the last one, which has ended by then."""

        def train_function(*args):
            while len(self._flags) > 1:
                self._tell(self._flags.popleft())
            result = function(*args)
            self._flags.append(backend.step_logs(result).pop(_FIRST, None))
            return result

        return train_function

    def begin(self) -> None:
        """Forgets the last steps, and a callback that watched them and may have been interrupted."""
        self._flags.clear()
        self.watched = False

    def end(self) -> None:
        """Checks the last steps."""
        while self._flags:
            self._tell(self._flags.popleft())

    def _tell(self, flag):
        if flag is None or self.mode != "raise" or self.watched:
            return
        first, phase = np.asarray(ops.convert_to_numpy(flag), "int64")
        if first:
            self.begin()
            backend.attach_state(self.model)
            raise FloatingPointError(
                f"{type(self.model).__name__}: in training step {first} the loss of phase {self.phases[phase]!r}, or "
                "its gradient, is NaN or infinite. The step was skipped, so the weights are unaffected. Look for NaN "
                "in the data, lower the learning rate, or skip such steps with compile(on_nonfinite='skip')."
            )


def all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Whether all numbers in some tensors are finite on all replicas: a boolean scalar, the same on each.

    It checks their sum, in one pass over the memory. Finite numbers overflow it only near float32's maximum.
    """
    total = sum(ops.sum(ops.cast(tensor, "float32")) for tensor in tensors)
    return ops.isfinite(backend.sum_over_replicas(total))


@functools.cache
def warn_of_slow_policy(policy: str) -> None:
    """Warns once about float16 on a machine without float16 arithmetic."""
    if policy == "mixed_float16" and not backend.has_accelerator():
        warnings.warn(
            "mixed_float16 without a GPU: CPUs have no float16 arithmetic, and a step can take 50 times as long as in "
            "float32. Use keras.config.set_dtype_policy('float32'), or 'mixed_bfloat16' where the CPU has it.",
            stacklevel=3,
        )
