"""Files of other formats than SavedModel, each in its own runtime, against the model in Python."""

import json
import re
import warnings

import keras
import numpy as np
import pytest

from kgen.text import PromptCleaner
from kgen.training import image_noise
from tests.models import tiny_text
from tests.models.tiny import gan

PROMPTS = ["a red picture", "A  blue sheet", "红"]


def run_onnx(path, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path))
    assert {each.name for each in session.get_inputs()} == set(inputs)
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs)))


FORMATS = {"onnx": (".onnx", ("onnx", "tf2onnx", "onnxruntime"), run_onnx)}


@pytest.fixture(params=FORMATS)
def in_runtime(request, tmp_path):
    """A function that exports a model and gives the outputs of its file for these inputs."""
    ending, packages, run = FORMATS[request.param]
    for package in packages:
        pytest.importorskip(package)

    def outputs(model, inputs):
        path = tmp_path / f"model{ending}"
        model.export(path, format=request.param)
        return run(path, {name: keras.ops.convert_to_numpy(value) for name, value in inputs.items()})

    return outputs


def of_seed(model, seed, count):
    indices = np.arange(count, dtype="int32")
    return {"latents": image_noise(0 * indices + seed, indices, model.latent_dim)}


def expected(method, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(*args, **kwargs, verbose=0).astype(int)


@pytest.mark.parametrize("codes", [None, (2, 2)])
def test_tokens_to_pixels(codes, in_runtime, tensorflow_backend):
    model = tiny_text.model(**({"codes": codes, "encoder": tiny_text.encoder(4)} if codes else {}))
    tokens = model.text_encoder.tokenize(PROMPTS, cut=[])
    inputs = {name: tokens[name] for name in ("token_ids", "padding_mask")}
    images = in_runtime(model, {**inputs, **of_seed(model, 5, 3)})["images"]
    assert images.dtype == np.uint8 and images.std() > 0
    assert np.abs(images - expected(model.generate, PROMPTS, seed=5)).max() <= 1


def test_classes(in_runtime, tensorflow_backend):
    model = gan(num_classes=3)
    images = in_runtime(model, {**of_seed(model, 1, 2), "labels": np.array([2, 0], "int32")})["images"]
    assert np.abs(images - expected(model.generate, labels=[2, 0], seed=1)).max() <= 1


def test_what_drops_stop_words_is_beside_the_file(tmp_path, tensorflow_backend):
    pytest.importorskip("tf2onnx")
    cleaner = PromptCleaner(stop_words=["the", "一个"])
    tiny_text.model(prompt_cleaner=cleaner).export(tmp_path / "model.onnx", format="onnx")
    patterns = json.loads((tmp_path / "prompt_cleaner.json").read_text("utf-8"))
    for prompt in ("The red picture", "the the", "一个 cat", "breathe"):
        padded = f" {prompt.replace(' ', '  ')} "
        shorter = " ".join(re.sub(patterns["spaced"], " ", padded, flags=re.IGNORECASE).split())
        shorter = " ".join(re.sub(patterns["unspaced"], r"\1", shorter).split())
        assert (shorter or prompt) == cleaner.clean([prompt])[0]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "prompt_cleaner.json", "tokenizer.json"]
