"""Runs a model's row-by-row methods over long arrays in batches; each is compiled once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kgen import checks
from kgen.progress import Progress
from kgen.training import backend
from kgen.types import Array, Verbose


class CompiledGraphs:
    """The compiled functions of a model, by name; every `ImageModel` has one of these.

    A graph reads the model's variables. Other contents, such as a learned prior, are constants, which `image_input` and
    `sampler` list in `constants()`. If a constant changes, all graphs are compiled again, those of training too.

    Args:
        model: the model of these graphs.
    """

    def __init__(self, model: Any):
        self.model = model
        self.compiled: dict[str, Callable] = {}
        self.constants: list = []
        self.training = False
        self._train_function_is_stale = False

    def in_batches(
        self, function: Callable, inputs: dict[str, Any], batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Array:
        """Applies a function to the rows of long arrays, in batches, with a progress bar.

        Args:
            function: from a dict of tensors `(rows, ...)` to a tensor `(rows, ...)`; compiled once under its name.
            inputs: dict of arrays of one length N, or of objects with a length that can be sliced.
            batch_size: rows computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            Array `(N, ...)`.

        Raises:
            FloatingPointError: if results show that the model's weights are NaN or infinite.
        """
        owner, name = type(self.model).__name__, function.__name__
        batch_size = checks.integer(owner, "batch_size", batch_size)
        self.forget_stale()
        compiled = self.compiled
        if name not in compiled:
            # TensorFlow needs no graph for each size of image.
            axes = 3 if None in self.model.image_input.image_shape else 1
            compiled[name] = backend.compiled(function, lambda: self.model.variables, axes)
        results: Any = None
        count = len(next(iter(inputs.values())))
        progress = Progress(count, verbose=verbose)
        for start in range(0, count, batch_size):
            part = compiled[name]({key: value[start : start + batch_size] for key, value in inputs.items()})
            if results is None:
                results = np.empty((count, *part.shape[1:]), part.dtype)
            results[start : start + batch_size] = part
            progress.add(len(part))
        if count and not _says_something(results):
            checks.finite_weights(owner, self.model.variables)
        return results

    @contextlib.contextmanager
    def in_training(self) -> Iterator[None]:
        """A context for `fit`: Keras needs the function of the training until it ends."""
        self.forget_stale()
        self.training = True
        try:
            yield
        finally:
            self.training = False

    def forget_stale(self) -> None:
        """Drops all graphs if a constant of the model has changed; that of a training only when it has ended."""
        model, known = self.model, self.constants
        constants = [*model.image_input.constants(), *([] if model.sampler is None else model.sampler.constants())]
        if len(constants) != len(known) or any(new is not old for new, old in zip(constants, known)):
            self.compiled, self.constants = {}, constants
            model.test_function, self._train_function_is_stale = None, True
        if self._train_function_is_stale and not self.training:
            model.train_function, self._train_function_is_stale = None, False


def _says_something(results):
    """False for what NaN weights give: pixels that are all 0, or numbers that are not finite."""
    return results.any() if results.dtype.kind in "iub" else np.isfinite(np.sum(results, dtype="float64"))
