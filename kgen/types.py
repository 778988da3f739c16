"""Types of kgen's public arguments and results, for type hints."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# A tensor of whichever backend runs, or what converts to one.
Tensor: TypeAlias = Any
# What leaves kgen for a user.
Array: TypeAlias = np.ndarray
# `(height, width, channels)`.
ImageShape: TypeAlias = tuple[int, int, int]
# `value_range` of float images: `(0, 1)`, `(-1, 1)`, or None where it is to be found out.
ValueRange: TypeAlias = tuple[int, int] | None
# `verbose`: 0: silent; 1: a progress bar; "auto": a bar on long work.
Verbose: TypeAlias = int | str
