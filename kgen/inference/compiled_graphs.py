"""A model's methods that work row by row: compiled once, and run over long arrays in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgen import checks
from kgen.progress import Progress
from kgen.training import backend
from kgen.types import Array, Verbose


class CompiledGraphs:
    """The compiled functions of a model, by name: every `ImageModel` holds one.

    A graph reads the model's variables. What else it has in it, such as a learned prior, the model's `image_input` and
    `sampler` name as their `constants()`; with others the graphs are made anew, those of training among them.

    Args:
        model: whose graphs they are.
    """

    def __init__(self, model: Any):
        self.model = model
        self.compiled: dict[str, Callable] = {}
        self.constants: list = []

    def in_batches(
        self, function: Callable, inputs: dict[str, Any], batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Array:
        """What a function makes of long arrays, row by row: in batches, with progress.

        Args:
            function: from a dict of tensors `(rows, ...)` to a tensor `(rows, ...)`; compiled once under its name.
            inputs: dict of arrays of one length N, or of what has a length and can be sliced.
            batch_size: rows computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            Array `(N, ...)`.

        Raises:
            FloatingPointError: if nothing comes out because the model's weights are NaN or infinite.
        """
        owner, name = type(self.model).__name__, function.__name__
        batch_size = checks.integer(owner, "batch_size", batch_size)
        self.forget_stale()
        compiled = self.compiled
        if name not in compiled:
            compiled[name] = backend.compiled(function, lambda: self.model.variables)
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

    def forget_stale(self) -> None:
        """Lets go of graphs in which there is a constant that is no longer the model's."""
        model, known = self.model, self.constants
        constants = [*model.image_input.constants(), *([] if model.sampler is None else model.sampler.constants())]
        if len(constants) != len(known) or any(new is not old for new, old in zip(constants, known)):
            self.compiled, self.constants = {}, constants
            model.test_function = model.train_function = None


def _says_something(results):
    """Whether they are not what NaN gives: pixels that are all 0, or numbers that are not finite."""
    return results.any() if results.dtype.kind in "iub" else np.isfinite(np.sum(results, dtype="float64"))
