"""examples/style_transfer.py, run as its user would but on few and small images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kgen.data import textures

ROOT = Path(__file__).parents[2]


def run(script, *arguments, cwd):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def folders(tmp_path):
    for name, seed in (("photos", 0), ("art", 1)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(textures(4, 48, seed)):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    return tmp_path


@pytest.mark.slow
def test_trains_shows_and_serves(folders, tmp_path, tensorflow_backend):
    options = ["--contents", "photos", "--styles", "art", "--image-size", 32, "--steps", 4, "--batch-size", 2]
    ended = run("examples/style_transfer.py", *options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    made = tmp_path / "style_transfer"
    report = json.loads((made / "report.json").read_text())
    assert {"content", "style", "identity", "seconds"} <= set(report) and np.isfinite(list(report.values())).all()
    for name in ("stylized.png", "choices.png"):
        with Image.open(made / name) as image:
            assert np.asarray(image).std() > 1.0
    files = "--stylize", "photos/0.png", "--style", "art/1.png"
    ended = run("examples/style_transfer.py", *files, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    with Image.open(made / "0_in_1.png") as image:
        assert image.size == (48, 48)


def test_says_what_is_wrong(tmp_path):
    ended = run("examples/style_transfer.py", "--stylize", "a.png", cwd=tmp_path)
    assert ended.returncode and "--stylize needs --style" in ended.stderr
    ended = run("examples/style_transfer.py", "--stylize", "a.png", "--style", "b.png", cwd=tmp_path)
    assert ended.returncode and "There is no trained model in style_transfer" in ended.stderr
