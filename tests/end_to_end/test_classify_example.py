"""examples/classify.py, run as its user would but for less data."""

import importlib.util
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
    command = [sys.executable, str(ROOT / "examples" / "classify.py"), *map(str, arguments)]
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
    Image.fromarray(images[7]).save(tmp_path / "seventh.png")
    return tmp_path


@pytest.mark.slow
def test_trains_shows_and_serves(clothes, tmp_path):
    options = ["--data", clothes, "--batch-size", 16, "--epochs", 6, "--filters", 8]
    ended = run(*options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    made = tmp_path / "classify"
    assert json.loads((made / "report.json").read_text())["accuracy"] > 0.9
    for name in ("seen.png", "confusion.png"):
        with Image.open(made / name) as image:
            assert np.asarray(image).std() > 1.0
    ended = run("--classify", clothes / "seventh.png", cwd=tmp_path)
    assert ended.returncode == 0 and "seventh.png: Sneaker (" in ended.stdout, ended.stderr[-3000:]


@pytest.mark.parametrize("background", ["black", "white", "transparent"])
def test_any_background(background):
    spec = importlib.util.spec_from_file_location("classify_example", ROOT / "examples" / "classify.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    pixels = np.zeros((70, 50), "uint8")
    pixels[20:50, 10:40] = np.linspace(100, 250, 30)[:, None]
    image = Image.fromarray(pixels if background == "black" else 255 - pixels)
    if background == "transparent":
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray(np.where(pixels, 255, 0).astype("uint8")))
    prepared = example.like_fashion_mnist(image)
    # Cut to the square, bright on black, from dark above to bright below.
    assert prepared.shape == (28, 28) and prepared.dtype == "uint8"
    expected = np.linspace(100, 250, 28)
    assert np.abs(prepared.mean(axis=1) - expected).max() < 12
    assert not example.like_fashion_mnist(Image.new("L", (9, 9), 255)).any()
    # What is in the form of Fashion-MNIST stays where it is.
    assert example.like_fashion_mnist(Image.fromarray(255 - np.eye(28, dtype="uint8")))[3, 3] == 1


def test_says_what_is_wrong(tmp_path):
    ended = run("--classify", "shoe.png", cwd=tmp_path)
    assert ended.returncode and "There is no trained model in classify" in ended.stderr
    (tmp_path / "classify" / "saved_model").mkdir(parents=True)
    ended = run("--classify", "shoe.png", cwd=tmp_path)
    assert ended.returncode and "There is no such image: shoe.png" in ended.stderr
