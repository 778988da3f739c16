"""Loading from disk is tested through TextEncoder.of; here is what it decides on the way."""

import json

import pytest

keras_hub = pytest.importorskip("keras_hub")

from kgen.text import load_text_model as module  # noqa: E402
from kgen.text.load_text_model import installed_model, load_text_model, parts_of_embedder  # noqa: E402


def preset(encoder, directory):
    """A KerasHub preset of a tiny BERT."""
    encoder.backbone.save_to_preset(directory)
    encoder.preprocessor.save_to_preset(directory)
    return directory


def test_a_preset_directory(encoder, tmp_path):
    parts = load_text_model(preset(encoder, tmp_path / "bert"))
    assert type(parts["backbone"]).__name__ == "BertBackbone"
    assert parts["backbone"].count_params() == encoder.backbone.count_params()
    assert parts["preprocessor"].tokenizer.vocabulary == encoder.preprocessor.tokenizer.vocabulary


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("notes.txt", "nothing", "holds no model"),
        ("config.json", "{}", "holds no model"),
    ],
)
def test_directories_without_a_model(tmp_path, file, content, said):
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=said):
        load_text_model(tmp_path)


def test_a_model_of_an_unknown_kind_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(ValueError, match="could not load") as caught:
        load_text_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_embedder_says_how_it_pools(encoder):
    class Embedder:
        backbone, preprocessor = encoder.backbone, encoder.preprocessor
        pooling_mode, normalize = "cls", True

    parts = parts_of_embedder(Embedder)
    assert (parts["pooling"], parts["normalize"]) == ("cls", True)
    assert parts["backbone"] is encoder.backbone


def test_a_preset_whose_weights_a_package_holds_is_not_downloaded(encoder, tmp_path, monkeypatch):
    directory = preset(encoder, tmp_path / "bert")
    (tmp_path / "brings_weights.py").write_text(f"def get_model_path():\n    return {str(directory)!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_PACKAGES", {"all_minilm_l6_v2_en": "brings_weights", "other": "is_not_installed"})
    assert installed_model("all_minilm_l6_v2_en") == str(directory)
    assert load_text_model("all_minilm_l6_v2_en")["backbone"].count_params() == encoder.backbone.count_params()
    assert installed_model("other") is None and installed_model("unknown") is None and installed_model(None) is None
