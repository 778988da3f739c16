import os

import numpy as np
import pytest

from kgen.text.renamed_bert import renamed_bert

safetensors = pytest.importorskip("safetensors.numpy")


def test_names_are_those_of_the_first_bert(tmp_path):
    names = ["embeddings.LayerNorm.weight", "bert.pooler.dense.bias", "encoder.layer.0.output.LayerNorm.bias"]
    weights = {name: np.full((2,), i, "float32") for i, name in enumerate(names)}
    safetensors.save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with renamed_bert(tmp_path) as directory:
        found = safetensors.load_file(os.path.join(directory, "model.safetensors"))
        assert os.path.exists(os.path.join(directory, "config.json"))
    assert not os.path.exists(directory)
    assert {name: value[0] for name, value in found.items()} == {
        "bert.embeddings.LayerNorm.gamma": 0,
        "bert.pooler.dense.bias": 1,
        "bert.encoder.layer.0.output.LayerNorm.beta": 2,
    }
