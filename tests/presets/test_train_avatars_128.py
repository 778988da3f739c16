"""The script beside the preset still makes one, with words that get another meaning."""

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
    sizes += ["--condition-dim", "16", "--prior-steps", "3", "--renew", "1", "--renew-steps", "3"]
    sizes += ["--prior-images", "14", "--prior-captions", "3"]
    command = [sys.executable, str(SCRIPT), *sizes, "--output", str(tmp_path / "preset")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[3])
    assert result.returncode == 0, result.stderr[-3000:]
    assert "1 renewed words explain" in result.stdout and "s of CPU time" in result.stdout
    assert (tmp_path / "preset" / "images.png").is_file()
    model = TextToImage.from_preset(tmp_path / "preset")
    assert model.codes.words == 3 and not model.text_encoder.trainable and model.space.stores
    assert model.generate("一个人", seed=0, verbose=0).shape == (128, 128, 3)
