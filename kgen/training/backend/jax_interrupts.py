"""Ctrl-C during training on JAX: it waits for the end of the step, when the model has values again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import keras


class _Interrupts(keras.callbacks.Callback):
    """Delays Ctrl-C to the end of a step: while a step runs, the variables of a model have no values.

    The trainer takes the values away when an epoch's first step begins, and `jax.jit` reuses their memory in each step.
    """

    def __init__(self):
        super().__init__()
        self.within = self.asked = False

    def on_train_batch_begin(self, batch, logs=None):
        self.within = True

    def on_test_batch_begin(self, batch, logs=None):
        self.within = True

    def interrupt(self, number, frame):
        """The signal handler. A second Ctrl-C does not wait."""
        if self.within and not self.asked:
            self.asked = True
        else:
            self.asked = False
            raise KeyboardInterrupt

    def end(self):
        self.within = False
        if self.asked:
            self.interrupt(None, None)


# The only one in this process.
waiting = _Interrupts()


@contextlib.contextmanager
def interruptible() -> Iterator[list]:
    """By a handler that waits instead of Python's own, which raises at once. A custom handler is left in place."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) not in (
        signal.default_int_handler,
        waiting.interrupt,
    ):
        yield []
        return
    before = signal.signal(signal.SIGINT, waiting.interrupt)
    try:
        yield [waiting]
    finally:
        waiting.within = waiting.asked = False
        # Otherwise it would keep the model in memory.
        waiting.set_model(None)
        signal.signal(signal.SIGINT, before)
