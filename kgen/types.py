"""Types of kgen's public arguments and results, for type hints."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# A tensor of the current backend, or anything that converts to one.
Tensor: TypeAlias = Any
# What kgen returns to a user.
Array: TypeAlias = np.ndarray
# `(height, width, channels)`.
ImageShape: TypeAlias = tuple[int, int, int]
# `value_range` of float images: `(0, 1)`, `(-1, 1)`, or None if it must be inferred.
ValueRange: TypeAlias = tuple[int, int] | None
# `verbose`: 0: silent; 1: a progress bar; "auto": a bar on long work.
Verbose: TypeAlias = int | str
