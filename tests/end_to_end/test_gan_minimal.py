"""examples/gan_minimal.py, run as it stands but for less data and fewer epochs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples" / "gan_minimal.py"


def test_two_sequential_networks_draw(tmp_path):
    code = EXAMPLE.read_text(encoding="utf-8")
    assert len(code.splitlines()) < 30 and "epochs=5" in code
    try:
        from kgen.data import fashion_mnist

        fashion_mnist("test")
    except ConnectionError:
        pytest.skip("Fashion-MNIST is not on this machine")
    code = code.replace('fashion_mnist("train")', 'fashion_mnist("test")').replace(
        "gan.fit(images,", "gan.fit(images[:512],"
    )
    code = code.replace("epochs=5", "epochs=1, verbose=0")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(EXAMPLE.parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "64 generated images are in gan_minimal.png." in ended.stdout
    with Image.open(tmp_path / "gan_minimal.png") as grid:
        assert np.asarray(grid).std() > 5.0
