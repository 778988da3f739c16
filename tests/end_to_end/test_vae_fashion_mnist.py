"""examples/vae_fashion_mnist.py, run as its user would but for less data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples" / "vae_fashion_mnist.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def clothes(tmp_path):
    """A folder in the form of Fashion-MNIST: a bright square on black, at one of ten heights."""
    labels = np.arange(320, dtype="uint8") % 10
    images = np.zeros((320, 28, 28), "uint8")
    for image, label in zip(images, labels):
        image[2 * label + 2 : 2 * label + 8, 8:20] = 220
    for prefix in ("train", "t10k"):
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
            (tmp_path / f"{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return tmp_path


@pytest.mark.slow
def test_trains_and_denoises(clothes, tmp_path):
    options = ["--data", clothes, "--batch-size", 16, "--epochs", 8, "--latent-dim", 4, "--units", 64]
    ended = run(*options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    made = tmp_path / "vae_fashion_mnist"
    report = json.loads((made / "report.json").read_text())
    assert {"reconstruction", "kl", "active_units", "nats_gained_by_prior"} <= set(report)
    assert all(np.isfinite(value) for value in report.values())
    assert report["psnr_denoised"] > report["psnr_noisy"]
    # The seed is that of the first weights too.
    assert run(*options, "--output", "again", cwd=tmp_path).returncode == 0
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["reconstruction"] == pytest.approx(report["reconstruction"], rel=1e-5)
    names = ("reconstructions", "generated", "between", "traversal", "plane", "denoised", "strangest")
    for name in (*(f"{name}.png" for name in names), "samples/epoch_0008.png"):
        with Image.open(made / name) as image:
            assert np.asarray(image).std() > 1.0, name
    assert (made / "saved_model" / "saved_model.pb").is_file()

    noisy = np.random.default_rng(0).integers(0, 256, (28, 28)).astype("uint8")
    Image.fromarray(noisy).save(tmp_path / "mine.png")
    ended = run("--denoise", "mine.png", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    with Image.open(made / "mine_denoised.png") as image:
        assert image.size == (28, 28) and np.abs(np.asarray(image).astype(int) - noisy).mean() > 10


def test_says_what_is_wrong(tmp_path):
    ended = run("--denoise", "mine.png", cwd=tmp_path)
    assert ended.returncode and "There is no trained model in vae_fashion_mnist" in ended.stderr
    (tmp_path / "vae_fashion_mnist").mkdir()
    (tmp_path / "vae_fashion_mnist" / "model.keras").touch()
    ended = run("--denoise", "mine.png", cwd=tmp_path)
    assert ended.returncode and "There is no image mine.png" in ended.stderr
