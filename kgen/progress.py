"""Progress of long work: one rule for when a bar is shown."""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Iterator

import keras

# Work that ends sooner needs no bar.
_PATIENCE = 2.0
_silent = contextvars.ContextVar("silent", default=False)


@contextlib.contextmanager
def silent(verbose: int | str) -> Iterator[None]:
    """A scope in which `verbose="auto"` shows no bar, if the `verbose` of the whole work is 0."""
    token = _silent.set(_silent.get() or verbose == 0)
    try:
        yield
    finally:
        _silent.reset(token)


class Progress:
    """A progress bar that by default appears only once the work has taken two seconds.

    Args:
        total: how many units there are; None if unknown.
        unit: what is counted, such as "image".
        verbose: 0: no bar; 1: a bar from the beginning; "auto": a bar after two seconds.

    Raises:
        ValueError: for any other `verbose`.

    Example:

    ```python
    progress = Progress(len(files), "file")
    for file in files:
        ...
        progress.add(1)
    ```
    """

    def __init__(self, total: int | None, unit: str = "image", verbose: int | str = "auto"):
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f"verbose must be 0, 1 or 'auto'; got {verbose!r}.")
        self.total = total
        self.done = 0
        self.unit = unit
        self.verbose = 0 if verbose == "auto" and _silent.get() else verbose
        self.began = time.monotonic()
        self.bar = None

    def add(self, count: int = 1, values: list[tuple[str, float]] | None = None) -> None:
        """Counts finished units; `values` are `(name, number)` pairs to show next to them."""
        self.done += count
        is_long = time.monotonic() - self.began >= _PATIENCE and self.done != self.total
        if self.bar is None and (is_long if self.verbose == "auto" else self.verbose):
            self.bar = keras.utils.Progbar(self.total, unit_name=self.unit)
        if self.bar is not None:
            self.bar.update(self.done, values)
