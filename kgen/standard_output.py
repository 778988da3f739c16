"""Standard output for results alone."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """A context of long work: what it prints, and what it warns of, goes to standard error.

    What a program prints after it is its result, and can be read by another program.

    Example:

    ```python
    with results_only():
        images = model.generate(prompts)      # progress bars and notes on standard error
    print(len(images))
    ```
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        # The message alone, once, without the line of code that it comes from.
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"Note: {message}", file=sys.stderr)
        yield
