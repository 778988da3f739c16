"""Curves of the numbers that `fit` logged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kgen.visualization.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VALIDATION = "val_"
# Losses that differ by more than this factor would flatten each other in one panel.
_MOST_APART = 20.0
_COLUMNS = 3
# Up to this many values, each has a dot; a curve of one value is only a dot.
_MOST_DOTS = 30


def plot_history(history: keras.callbacks.History | Mapping[str, Sequence[float]]) -> Figure:
    """Plots what `fit` logged, over epochs: the losses, then a panel for each other number.

    The losses of a model's players, such as generator and discriminator, share a panel if their magnitudes are similar.
    Validation curves are dashed, in the colour of training. For a number that is not logged every epoch, such as one of
    `EvaluateSamples(every=5)`, Keras does not record the epochs: its values are spread evenly, the last one at the last
    epoch.

    Args:
        history: what `fit` returned, or its `.history`: a dict from names to a list of numbers.

    Returns:
        A matplotlib `Figure`; a notebook shows it.

    Raises:
        TypeError: if `history` is neither.
        ValueError: if nothing was logged, or something other than lists of numbers.

    Example:

    ```python
    history = gan.fit(images, epochs=20, validation_data=validation_images)
    kgen.visualization.plot_history(history).savefig("history.png")
    ```
    """
    from matplotlib.ticker import MaxNLocator

    logged = _logged(history)
    epochs = getattr(history, "epoch", None) or [0]
    count = max(len(epochs), *map(len, logged.values()))
    panels = _panels(logged)
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(figsize=(max(4.0 * columns, 5.0), 2.8 * rows), layout="constrained")
    for place, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epochs[0] + 1 - 0.03 * count, epochs[0] + count + 0.03 * count)
        if place + columns >= len(panels):
            axes.set_xlabel("epoch")
        for i, name in enumerate(names):
            # Players are labelled by name; their validation curves are dashed.
            label = _words(name.removesuffix("_loss")) if len(names) > 1 else "training"
            for key, style in ((name, "-"), (_VALIDATION + name, "--")):
                values = logged.get(key, ())
                when = epochs[0] + count * np.arange(1, len(values) + 1) / max(len(values), 1)
                marker = "." if len(values) <= _MOST_DOTS else ""
                axes.plot(when, values, style, color=f"C{i}", marker=marker, label=label if style == "-" else None)
        if validated := any(_VALIDATION + name in logged for name in names):
            axes.plot([], [], "--", color="C0" if len(names) == 1 else "grey", label="validation")
        if validated or len(names) > 1:
            axes.legend(fontsize="small", framealpha=0.7, edgecolor="none")
    return figure


def _logged(history: Any) -> dict[str, np.ndarray]:
    """Arrays of the numbers, NaN where they are not finite."""
    values = getattr(history, "history", history)
    if not isinstance(values, Mapping):
        raise TypeError(
            "plot_history: history must be what fit returns, or its .history, a dict from names to lists of numbers; "
            f"got {type(history).__name__}."
        )
    logged = {}
    for name, numbers in values.items():
        try:
            array = np.asarray(numbers, "float64")
        except (TypeError, ValueError):
            array = np.empty((0, 0))
        if array.ndim != 1:
            raise ValueError(f"plot_history: {name!r} must be a list of numbers, one per epoch; got {numbers!r}.")
        if len(array):
            logged[str(name)] = np.where(np.isfinite(array), array, np.nan)
    if not logged:
        raise ValueError("plot_history: the history is empty; train for at least one epoch.")
    return logged


def _panels(logged: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """Titles of the panels, and the names of their numbers, without validation."""
    names = list(dict.fromkeys(name.removeprefix(_VALIDATION) for name in logged))
    losses = [name for name in names if name.endswith("_loss")]
    others = [name for name in names if name not in losses and name != "loss"]
    # With several losses, "loss" is only their sum.
    losses = losses or [name for name in names if name == "loss"]
    sizes = [_size(logged.get(name, logged.get(_VALIDATION + name))) for name in losses]
    if len(losses) > 1 and max(sizes) <= _MOST_APART * min(sizes):
        return {"losses": losses} | {_words(name): [name] for name in others}
    return {_words(name): [name] for name in [*losses, *others]}


def _size(values: Any) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(np.median(finite)) if len(finite) else 0.0


def _words(name: str) -> str:
    return name.replace("_", " ")
