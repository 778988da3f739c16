"""examples/restore_photos.py, run as its user would but for less data."""

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
    command = [sys.executable, str(ROOT / "examples" / "restore_photos.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def photos(tmp_path):
    """A folder of three images of coloured squares."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        colors = np.random.default_rng(i).integers(40, 216, (9, 10, 3)).astype("uint8")
        name = f"squares_{i}.{('tif', 'jfif', 'png')[i]}"
        Image.fromarray(colors).resize((80, 72), Image.Resampling.NEAREST).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.slow
def test_trains_shows_and_restores(photos, tmp_path):
    options = ["--data", photos, "--held-out", 1, "--patches", 32, "--epochs", 16, "--batch-size", 8, "--filters", 8]
    ended = run("--task", "inpaint", *options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Left out: cannot identify image file" in ended.stdout and "notes.txt" in ended.stdout
    made = tmp_path / "restore_photos"
    before, after = json.loads((made / "report.json").read_text())["squares_2"]
    assert after > before + 1
    pixels = np.full((20, 30, 4), 255, "uint8")
    pixels[5:8, 5:8, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "torn.png")
    ended = run("--restore", tmp_path / "torn.png", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    with Image.open(made / "torn_restored.png") as image:
        restored = np.asarray(image)
    assert restored.shape == (20, 30, 3) and np.all(restored[pixels[..., 3] > 0] == 255)
    for name in ("before", "after"):
        with Image.open(made / f"squares_2_{name}.png") as image:
            assert np.asarray(image).std() > 10


def test_says_what_is_wrong(photos, tmp_path):
    ended = run("--restore", "old.png", cwd=tmp_path)
    assert ended.returncode and "There is no trained model in restore_photos" in ended.stderr
    ended = run("--data", photos, "--held-out", 3, cwd=tmp_path)
    assert ended.returncode and "There are 3 photographs in" in ended.stderr
