"""Keeps standard output for results only."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """A context for long work: everything printed, and all warnings, go to standard error.

    What a program prints afterwards is its result, which another program can read.

    Example:

    ```python
    with results_only():
        images = model.generate(prompts)      # progress bars and notes on standard error
    print(len(images))
    ```
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        # Only the message, once, without its line of code.
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"Note: {message}", file=sys.stderr)
        yield
