"""The script beside the preset still makes one, and measures it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kgen
from kgen.models import TextToImage
from tests.data.test_icons import package

SCRIPT = Path(kgen.presets.__file__).parent / "scenes_128" / "train.py"


@pytest.mark.slow
def test_a_small_one_is_made_and_measured(tmp_path):
    for needed in ("resvg_py", "tensorflow_text"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    square = {"body": '<path fill="#999" d="M0 0h8v8H0z"/>'}
    icons = package(tmp_path / "icons", icons=dict.fromkeys(["cat", "dog", "owl", "egg"], square))
    (icons / "metadata.json").write_text(
        '{"categories": {"Animals & Nature": ["cat", "dog", "owl"], "Food & Drink": ["egg"]}}'
    )
    sizes = ["--images", "60", "--steps", "2", "--batch-size", "30", "--asked", "3"]
    command = [sys.executable, str(SCRIPT), str(icons), *sizes, "--output", str(tmp_path / "preset")]
    environment = {**os.environ, "KGEN_CACHE": str(tmp_path / "cache")}
    result = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[3], env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    for title in (
        "| one, in training | 3 |",
        "| in another colour, in training | 3 |",
        "| in another colour, never seen |",
    ):
        assert title in result.stdout
    assert (tmp_path / "preset" / "images.png").is_file()
    model = TextToImage.from_preset(tmp_path / "preset")
    assert model.space.stores and model.generate("two cats", seed=0, verbose=0).shape == (128, 128, 3)
