"""Checks of arguments that several parts of kgen share; errors say what was expected and what was given."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np


def integer(owner: str, name: str, value: Any, least: int | None = 1, most: int | None = None) -> int:
    """An argument that must be an integer, of Python or NumPy, as an `int`.

    Args:
        owner: class or function that takes the argument; the error begins with it.
        name: name of the argument.
        value: the given value.
        least, most: bounds, both included; None for no bound.

    Raises:
        ValueError: if it is not an integer (True and False are not), or out of bounds.

    Example:

    ```python
    integer("GAN", "latent_dim", np.int64(128))      # 128
    ```
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or (least is not None and value < least) or (most is not None and value > most):
        if least is not None and most is not None:
            wanted = f"an integer from {least} to {most}"
        elif least is not None:
            wanted = f"an integer of at least {least}"
        else:
            wanted = "an integer" if most is None else f"an integer of at most {most}"
        raise ValueError(f"{owner}: {name} must be {wanted}; got {value!r}.")
    return int(value)


def floats(owner: str, name: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """An argument that must be an array of finite numbers of some shape, as float32.

    Args:
        owner, name, value: as in `integer`.
        shape: the expected shape; None for any length from 1 on.

    Raises:
        ValueError: if it has another shape, is empty, or has values that are NaN or infinite.

    Example:

    ```python
    floats("GAN.decode", "latents", [[0.5, 1.0]], (None, 2)).shape      # (1, 2)
    ```
    """
    array = np.asarray(value, "float32")
    fits = array.ndim == len(shape) and all(n == m or m is None and n for n, m in zip(array.shape, shape))
    if not fits:
        wanted = ", ".join(str(m) if m is not None else "any" if i else "N" for i, m in enumerate(shape))
        raise ValueError(f"{owner}: {name} must have shape ({wanted}); got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{owner}: {name} must be finite; some are NaN or infinite.")
    return array


def seed(owner: str, value: Any, optional: bool = True) -> int | None:
    """A `seed` argument: an integer that fits 32 bits, or None if that is allowed.

    Raises:
        ValueError: if it is something else.
    """
    if value is None and optional:
        return None
    return integer(owner, "seed", value, least=1 - 2**31, most=2**31 - 1)


def number(owner: str, name: str, value: Any, least: float = -math.inf, below: float = math.inf) -> Any:
    """An argument that must be a finite number from `least` up to, but not including, `below`.

    Raises:
        ValueError: if it is not such a number.

    Example:

    ```python
    number("TextToImage", "caption_dropout", 0.05, least=0.0, below=1.0)      # 0.05
    ```
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not least <= value < below:
        if below < math.inf:
            wanted = f"in [{least:g}, {below:g})"
        else:
            wanted = "a finite number" if least == -math.inf else f"a number of at least {least:g}"
        raise ValueError(f"{owner}: {name} must be {wanted}; got {value!r}.")
    return value


def finite_weights(owner: str, weights: Sequence) -> None:
    """Raises a FloatingPointError that names the first of these `keras.Variable`s that is not finite."""
    bad = nonfinite_weights(weights)
    if bad:
        raise FloatingPointError(
            f"{owner}: {len(bad)} of {len(weights)} weights are NaN or infinite, the first is {bad[0]}. Load an "
            "earlier file of the model, or train it again; docs/questions.md explains how to avoid this."
        )


def nonfinite_weights(weights: Sequence) -> list[str]:
    """Paths of the `keras.Variable`s with a NaN or an infinity in them, which their sum reveals."""
    from keras import ops

    kinds = [v for v in weights if "float" in v.dtype]
    return [v.path for v in kinds if not np.isfinite(np.sum(ops.convert_to_numpy(v), dtype="float64"))]


def one_line(text: object, most: int = 300) -> str:
    r"""A foreign text for use in an error: on one line, of at most `most` characters.

    Example:

    ```python
    one_line("a\n b" + 999 * "!", 8)      # "a b!!..."
    ```
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    return line if len(line) <= most else line[: most - 3] + "..."
