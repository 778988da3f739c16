"""Images and what comes with them, in data of any form: arrays, datasets, generators."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras


def look_at(owner: str, x: Any, y: Any = None) -> tuple[Any, dict]:
    """`(images, others)` of the data, or of their first batch; `(None, {})` if they cannot be read in advance."""
    if hasattr(x, "element_spec"):
        batch = next(iter(x.take(1)), None)
        if batch is None:
            raise ValueError(f"{owner}: the dataset is empty.")
        x = batch
    elif isinstance(x, keras.utils.PyDataset):
        x = x[0]
    elif not hasattr(x, "shape") and not isinstance(x, (tuple, list, dict)):
        return None, {}
    if isinstance(x, tuple):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(x)
    if isinstance(x, dict):
        if "images" not in x:
            raise ValueError(f"{owner}: a dict of data must have the key 'images'; got {sorted(x)}.")
        return x["images"], {**x, "y": y}
    return x, {"y": y}


def in_memory(x: Any) -> bool:
    """Whether it is an array, and not a dataset, a generator or a batch of several things."""
    return hasattr(x, "shape") and not hasattr(x, "element_spec")


def batches(owner: str, x: Any, steps: int | None = None) -> Iterator[tuple[Any, dict]]:
    """Yields `(images, others)` of each batch of a dataset or a generator; arrays come all at once.

    Args:
        owner: method that errors begin with.
        x: what `fit` takes.
        steps: number of batches; None for all.
    """
    source: Any = [x]
    if isinstance(x, keras.utils.PyDataset):
        source = (x[number] for number in range(len(x)))
    elif hasattr(x, "element_spec") or not hasattr(x, "shape") and not isinstance(x, (tuple, list, dict)):
        source = x
    for batch in itertools.islice(source, steps):
        yield look_at(owner, tuple(batch) if source is x and isinstance(batch, list) else batch)
