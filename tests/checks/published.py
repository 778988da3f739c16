"""What published implementations say, asked in a process of their own.

They import torchvision, which cannot be loaded beside TensorFlow everywhere: where torch is built for GPUs, both bring
an LLVM.
"""

import importlib.util
import pickle
import subprocess
import sys

import pytest

_CALL = """
import importlib, pickle, sys
try:
    import torchvision
except Exception:
    # Built for another torch, as beside a torch for CPUs alone. What is asked of them does not use it.
    from unittest import mock
    for part in ("", ".datasets", ".models", ".models.inception", ".transforms", ".transforms.functional"):
        sys.modules["torchvision" + part] = mock.MagicMock()
name, calls, as_tensors, options = pickle.load(sys.stdin.buffer)
module, function = name.split(":")
function = getattr(importlib.import_module(module), function)
if as_tensors:
    import torch
    calls = [[torch.from_numpy(x) for x in arguments] for arguments in calls]
pickle.dump([function(*arguments, **options) for arguments in calls], open(sys.argv[1], "wb"))
"""


def published(name, calls, directory, as_tensors=False, **options):
    """What a function of an installed package gives for each of several calls; without the package, skips the test.

    Args:
        name: `"module:function"`.
        calls: list of lists of numpy arrays.
        directory: a temporary one.
        as_tensors: whether it wants them as torch tensors.
        **options: arguments of every call.
    """
    package = name.split(".")[0].split(":")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    answer = directory / "answer.pickle"
    request = pickle.dumps((name, calls, as_tensors, options))
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", _CALL, answer], input=request, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()[-3000:]
    return pickle.loads(answer.read_bytes())
