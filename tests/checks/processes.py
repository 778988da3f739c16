"""Other Python processes that tests ask: one for each backend, which stays, and fresh ones where that is the point.

Starting Python with a backend takes five to ten seconds, most calls one or two.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import inspect
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import keras

ROOT = Path(__file__).resolve().parents[2]
# As it was before any test changed it: a worker outlives the test that starts it.
_ENVIRONMENT = dict(os.environ)
_workers = {}


# === What tests call ===
def in_worker(function, *args, backend=None, killed=False):
    """What an importable function gives when called in this session's process for a backend.

    Every call finds Keras' global state, its dtype policy and all random numbers as at the start of a process.

    Args:
        function: a function at the top of a module below the project's root, or its name `"module:function"`.
        *args: its arguments, picklable.
        backend: the Keras backend of the process; by default that of this one.
        killed: the call must end by SIGKILL, and gives None. The next call is the first one of a new process.
    """
    backend = backend or keras.backend.backend()
    # Out of the table for the while: after an error, which can leave anything behind, it is not asked again.
    worker = _workers.pop(backend, None) or _Worker(backend)
    try:
        result = worker.call(function, args, killed)
    except BaseException:
        worker.close()
        raise
    if killed:
        worker.close()
    else:
        _workers[backend] = worker
    return result


def in_new_process(function, *args, backend=None):
    """What `in_worker` gives, but from a process that has done nothing else: for tests of what a fresh one knows."""
    with contextlib.closing(_Worker(backend or keras.backend.backend())) as worker:
        return worker.call(function, args)


def name_of(function):
    """`"module:function"`, with the module as seen from the project's root, however pytest imported it."""
    if isinstance(function, str):
        return function
    module = Path(inspect.getsourcefile(function)).resolve().relative_to(ROOT).with_suffix("")
    return f"{'.'.join(module.parts)}:{function.__qualname__}"


def resolve(function):
    """The function of a name; a function is itself."""
    if callable(function):
        return function
    module, name = function.split(":")
    return getattr(importlib.import_module(module), name)


def replicas(count=2):
    """A `MirroredStrategy` over some of the four logical CPU devices that a process of this module has on TensorFlow.

    One for all calls, and one of four replicas without collective operations: a second one would number these as the
    first did, and they would meet.
    """
    return _replicas(count)


@functools.cache
def _replicas(count):
    import tensorflow as tf

    across = None if count == 2 else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)], across)


# === The side of the tests ===
class _Worker:
    """A process that answers calls one by one until its standard input ends."""

    def __init__(self, backend):
        self.backend = backend
        self.said = tempfile.TemporaryFile()
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.checks.processes"],
            cwd=ROOT,
            env={**_ENVIRONMENT, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
        )

    def call(self, function, args, killed=False):
        name = name_of(function)
        self.said.seek(0, os.SEEK_END)
        begin = self.said.tell()
        try:
            pickle.dump((name, args), self.process.stdin)
            self.process.stdin.flush()
            result, error = pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError):
            code = self.process.wait()
            result, error = None, None if killed and code == -signal.SIGKILL else f"The process ended with {code}."
        else:
            error = error or ("The process was not killed." if killed else None)
        if error:
            self.said.seek(begin)
            raise AssertionError(f"{name} on {self.backend}:\n{self.said.read().decode()[-6000:]}\n{error}")
        return result

    def close(self):
        """Lets the process end by itself, as a measurement of coverage needs."""
        for stream in (self.process.stdin, self.process.stdout, self.said):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@atexit.register
def _close_workers():
    while _workers:
        _workers.popitem()[1].close()


# === The side of the process ===
def _answer_calls():
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever is printed must not come between the answers.
    os.dup2(2, 1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # For `replicas`; only possible before TensorFlow is used.
        devices = [tf.config.LogicalDeviceConfiguration()] * 4
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    elif keras.backend.backend() == "jax":
        import jax

        # For `keras.distribution`; a computation that asks for nothing runs on the first.
        jax.config.update("jax_num_cpu_devices", 4)
    while True:
        try:
            name, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        try:
            answer = pickle.dumps((resolve(name)(*args), None))
        except Exception:
            answer = pickle.dumps((None, traceback.format_exc()))
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    _answer_calls()
