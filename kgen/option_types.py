"""Types for command options: numbers in a range, with an error that names the range."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A `type` of argparse: integers from `least` to `most`.

    Example:

    ```python
    parser.add_argument("--num", type=whole_number(1), default=1)
    ```
    """
    wanted = f"a whole number from {least}" + ("" if most is None else f" to {most}")

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be {wanted}; got {text!r}")
        return value

    return read


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """A `type` of argparse: finite numbers from `least` to `most`."""
    wanted = f"a number from {least:g}" + ("" if most == math.inf else f" to {most:g}")

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            raise argparse.ArgumentTypeError(f"must be {wanted}; got {text!r}")
        return value

    return read


seed = whole_number(1 - 2**31, 2**31 - 1)
