"""The processes that contract checks work in."""

import os
import signal

import keras
import pytest

from tests.checks.processes import in_new_process, in_worker


def leave_traces():
    keras.config.set_dtype_policy("mixed_bfloat16")
    print("This is not an answer.")
    return os.getpid(), keras.layers.Dense(2).name, float(keras.random.uniform(()))


def found():
    return os.getpid(), keras.config.dtype_policy().name, keras.layers.Dense(2).name, float(keras.random.uniform(()))


def fail():
    print("on the way")
    raise KeyError("on purpose")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


# Keras on NumPy starts fastest.
def ask(function, **kwargs):
    return in_worker(function, backend="numpy", **kwargs)


def test_a_call_finds_nothing_of_the_one_before():
    process, name, drawn = ask(leave_traces)
    assert ask(found) == (process, "float32", name, drawn)
    assert ask("tests.test_processes:found")[0] == process
    assert in_new_process(found, backend="numpy")[0] not in (process, os.getpid())


def test_after_an_error_or_a_kill_comes_another_process():
    processes = [ask(found)[0]]
    with pytest.raises(AssertionError, match="(?s)test_processes:fail on numpy:.*on the way.*KeyError: 'on purpose'"):
        ask(fail)
    processes.append(ask(found)[0])
    assert ask(die, killed=True) is None
    processes.append(ask(found)[0])
    with pytest.raises(AssertionError, match="The process ended with -9"):
        ask(die)
    with pytest.raises(AssertionError, match="The process was not killed"):
        ask(found, killed=True)
    assert len(set(processes)) == 3
