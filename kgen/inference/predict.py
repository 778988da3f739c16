"""Implements `predict`: calls a model's own method on data, in batches or not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kgen.inputs import ImageInput
from kgen.inputs.batches import batches
from kgen.types import ValueRange


def predict(
    owner: str,
    method: Callable,
    image_input: ImageInput,
    x: Any,
    steps: int | None = None,
    value_range: ValueRange = None,
    **options: Any,
) -> Any:
    """What a method of a model returns for all images in `x`, whatever kind of data `x` is; see `ImageModel.predict`.

    The method takes images, `value_range` and `verbose`, and perhaps `labels` and `batch_size`.
    """
    known = inspect.signature(method).parameters
    results = []
    for images, others in batches(owner, x, steps):
        # As in `fit`, labels of a dataset mean nothing to a model that takes none.
        labels = others.get("labels", others.get("y")) if image_input.targets else None
        given = {**options, "labels": labels}
        given = {name: value for name, value in given.items() if name in known and value is not None}
        results.append(method(images, **given, value_range=value_range))
        if value_range is None and not hasattr(x, "shape") and "float" in str(getattr(images, "dtype", "")):
            # The first batch sets the range of all batches.
            value_range = image_input.range_of(images, owner, (None, None, None))
    if not results:
        raise ValueError(f"{owner}: there are no images.")
    if len(results) == 1:
        return results[0]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *results)
