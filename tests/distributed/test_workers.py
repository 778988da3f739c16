"""Two workers of `tf.distribute.MultiWorkerMirroredStrategy`: real processes, which talk over loopback."""

import importlib.util
import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.checks.processes import ROOT

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")


@pytest.mark.slow
def test_two_workers_equal_one_process(tmp_path):
    (count, _, alone, logs, error), *workers = run_workers(tmp_path, [None, 0, 1])
    assert count == 1 and error is None
    for count, before, after, own_logs, error in workers:
        assert count == 2
        # https://github.com/keras-team/keras/issues/20585
        assert error and "0 dimensions" in error, "`reported` in kgen/training/backend/tensorflow_replicas.py can go"
        moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(after, before)))
        apart = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(after, alone)))
        assert moved > 0.1 and apart < 1e-6 * moved, f"off by {apart / moved:.1e} of what was learned"
        assert set(own_logs) == set(logs) and "val_loss" in logs
        for name, values in logs.items():
            np.testing.assert_allclose(own_logs[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def run_workers(directory, indices):
    """What a process without workers (None), and each of two workers, wrote."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for index in indices:
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
        if index is not None:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        file = Path(directory, f"{index}.pickle")
        command = [sys.executable, "-W", "ignore", "-m", "tests.distributed.worker", str(file)]
        with open(file.with_suffix(".txt"), "w") as said:
            processes.append((subprocess.Popen(command, env=environment, cwd=ROOT, stdout=said, stderr=said), file))
    try:
        for process, file in processes:
            assert process.wait(300) == 0, file.with_suffix(".txt").read_text()[-3000:]
    finally:
        for process, _ in processes:
            process.kill()
            process.wait()
    return [pickle.loads(file.read_bytes()) for _, file in processes]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
