"""examples/gan_fashion_mnist.py, run as its user would but for less data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import kgen  # noqa: F401  load_model knows its classes by it

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples" / "gan_fashion_mnist.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def clothes(tmp_path):
    """A folder in the form of Fashion-MNIST: a bright square on black, at a height that is its class."""
    labels = np.arange(160, dtype="uint8") % 10
    images = np.zeros((160, 28, 28), "uint8")
    for image, label in zip(images, labels):
        image[2 * label + 2 : 2 * label + 8, 8:20] = 220
    for prefix in ("train", "t10k"):
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
            (tmp_path / f"{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return tmp_path


@pytest.mark.slow
def test_trains_resumes_and_serves(clothes, tmp_path):
    options = ["--data", clothes, "--batch-size", 32, "--epochs", 2, "--conditioning", "classifier"]
    ended = run(*options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    made = tmp_path / "gan_fashion_mnist"
    report = json.loads((made / "report.json").read_text())
    assert {"generator_loss", "classification_accuracy", "precision_pixels"} <= set(report)
    assert all(np.isfinite(value) for value in report.values())
    for name in ("images.png", "between.png", "samples/epoch_0002.png"):
        with Image.open(made / name) as image:
            assert np.asarray(image).std() > 1.0

    ended = run("--generate", "sneaker", "T-shirt/top", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    model = keras.models.load_model(made / "model.keras")
    for name, label in (("00_sneaker.png", 7), ("01_t-shirt_top.png", 0)):
        with Image.open(made / name) as image:
            shown = np.asarray(image)[::8, ::8].astype(int)
        drawn = model.generate(labels=[7, 0], seed=[0, 1])[[7, 0].index(label), :, :, 0]
        assert np.abs(shown - drawn).max() <= 1


def test_says_what_is_wrong(tmp_path):
    ended = run("--generate", "sneaker", cwd=tmp_path)
    assert ended.returncode and "There is no trained model in gan_fashion_mnist" in ended.stderr
    (tmp_path / "gan_fashion_mnist" / "saved_model").mkdir(parents=True)
    ended = run("--generate", "hat", cwd=tmp_path)
    assert ended.returncode and "Unknown: hat. There are: t-shirt/top" in ended.stderr
