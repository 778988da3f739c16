"""The script beside the preset still makes one, and goes on from one."""

import subprocess
import sys
from pathlib import Path

import pytest

import kgen
from kgen.models import TextToImage

SCRIPT = Path(kgen.presets.__file__).parent / "avatars_128" / "train.py"


@pytest.mark.slow
def test_a_small_one_is_made(tmp_path):
    for package in ("dicebear", "resvg_py", "tensorflow_text"):
        pytest.importorskip(package)
    sizes = ["--images", "12", "--steps", "2", "--batch-size", "8", "--codes", "3", "4", "--width", "16"]

    def run(name, *options):
        command = [sys.executable, str(SCRIPT), "--condition-dim", "16", *sizes, "--output", str(tmp_path / name)]
        result = subprocess.run([*command, *options], capture_output=True, text=True, cwd=SCRIPT.parents[3])
        assert result.returncode == 0, result.stderr[-3000:]
        assert (tmp_path / name / "images.png").is_file() and "s of the processor" in result.stdout
        return TextToImage.from_preset(tmp_path / name)

    first = run("first")
    assert first.codes.words == 3 and not first.text_encoder.trainable and first.space.stores
    assert first.generate("一个人", seed=0, verbose=0).shape == (128, 128, 3)
    second = run("second", "--start", str(tmp_path / "first"))
    assert second.count_params() == first.count_params()
