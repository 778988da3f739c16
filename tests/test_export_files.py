"""Files of other formats than SavedModel, each in its own runtime, against the model in Python."""

import importlib
import json
import re
import warnings

import keras
import numpy as np
import pytest

from kgen.export import _write_elsewhere
from kgen.layers import Downscale, RandomMask
from kgen.models import ImageRestorer
from kgen.sampling.latent_prior import component_noise
from kgen.text import EncoderByScript, PromptCleaner, encoder_from_captions
from kgen.training import image_noise
from tests.models import tiny, tiny_style, tiny_text
from tests.models.test_autoencoder import autoencoder
from tests.models.test_cycle_gan import SHAPE as CYCLE_GAN_SHAPE
from tests.models.test_cycle_gan import model as cycle_gan
from tests.models.test_image_classifier import classifier
from tests.models.test_image_restorer import moved, network
from tests.models.test_recognition_model import both
from tests.models.tiny import gan, vae

PROMPTS = ["a red picture", "A  blue sheet", "红"]


def run_onnx(path, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path))
    assert {each.name for each in session.get_inputs()} == set(inputs)
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs)))


def run_litert(path, inputs):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    # Without TensorFlow's own kernels: what a phone has.
    run = runtime.Interpreter(str(path)).get_signature_runner()
    assert set(run.get_input_details()) == set(inputs)
    return run(**inputs)


def run_openvino(path, inputs):
    runtime = pytest.importorskip("openvino")
    model = runtime.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert {each.any_name for each in model.inputs} == set(inputs)
    return {each.any_name: value for each, value in model(inputs).items()}


def run_torch(path, inputs):
    import torch

    program = torch.export.load(str(path)).module()
    outputs = program({name: torch.tensor(value) for name, value in inputs.items()})
    return {name: value.detach().numpy() for name, value in outputs.items()}


# === What writes and runs a file of each format ===
FORMATS = {
    "onnx": (".onnx", ("onnx", "tf2onnx", "onnxruntime"), run_onnx),
    "litert": (".tflite", ("ai_edge_litert",), run_litert),
    "openvino": (".xml", ("openvino",), run_openvino),
    "torch": (".pt2", ("torch",), run_torch),
}


@pytest.fixture(params=FORMATS)
def in_runtime(request, tmp_path):
    """A function that exports a model and gives the outputs of its file for these inputs."""
    ending, packages, run = FORMATS[request.param]
    for package in packages:
        pytest.importorskip(package)
    if keras.backend.backend() != ("torch" if request.param == "torch" else "tensorflow"):
        pytest.skip("another backend writes this format")

    def outputs(model, inputs, refused=None):
        path = tmp_path / f"model{ending}"
        if request.param == "litert" and refused:
            with pytest.raises(RuntimeError, match=f"needs TensorFlow's {refused}, which LiteRT's runtime"):
                model.export(path, format=request.param)
            assert not list(tmp_path.iterdir())
            pytest.skip(f"LiteRT cannot do {refused}, and export says so")
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


@pytest.mark.backends
@pytest.mark.parametrize("codes", [None, (2, 2)])
def test_tokens_to_pixels(codes, in_runtime):
    model = tiny_text.model(**({"codes": codes, "encoder": tiny_text.encoder(4)} if codes else {}))
    tokens = model.text_encoder.tokenize(PROMPTS, cut=[])
    inputs = {name: tokens[name] for name in ("token_ids", "padding_mask")}
    images = in_runtime(model, {**inputs, **of_seed(model, 5, 3)}, "Erf" if codes else None)["images"]
    assert images.dtype == np.uint8 and images.std() > 0
    assert np.abs(images - expected(model.generate, PROMPTS, seed=5)).max() <= 1


@pytest.mark.backends
def test_classes(in_runtime):
    model = gan(num_classes=3)
    images = in_runtime(model, {**of_seed(model, 1, 2), "labels": np.array([2, 0], "int32")})["images"]
    assert np.abs(images - expected(model.generate, labels=[2, 0], seed=1)).max() <= 1


def test_what_drops_stop_words_is_beside_the_file(tmp_path, tensorflow_backend):
    pytest.importorskip("tf2onnx")
    cleaner = PromptCleaner(stop_words=["the", "一个"])
    tiny_text.model(prompt_cleaner=cleaner).export(tmp_path / "model.onnx", format="onnx")
    patterns = json.loads((tmp_path / "model.prompt_cleaner.json").read_text("utf-8"))
    for prompt in ("The red picture", "the the", "一个 cat", "breathe"):
        padded = f" {prompt.replace(' ', '  ')} "
        shorter = " ".join(re.sub(patterns["spaced"], " ", padded, flags=re.IGNORECASE).split())
        shorter = " ".join(re.sub(patterns["unspaced"], r"\1", shorter).split())
        assert (shorter or prompt) == cleaner.clean([prompt])[0]
    files = {"model.onnx", "model.prompt_cleaner.json", "model.tokenizer.json"}
    assert {each.name for each in tmp_path.iterdir()} == files
    tokenizer = (tmp_path / "model.tokenizer.json").read_bytes()
    # Another model in this folder leaves it alone; one under this name leaves nothing of it.
    other = tiny_text.model(text_encoder=encoder_from_captions(["an owl"], width=16, num_layers=1, num_heads=2))
    other.export(tmp_path / "other.onnx", format="onnx")
    assert {each.name for each in tmp_path.iterdir()} == files | {"other.onnx", "other.tokenizer.json"}
    assert (tmp_path / "model.tokenizer.json").read_bytes() == tokenizer
    other.export(tmp_path / "model.onnx", format="onnx")
    assert not (tmp_path / "model.prompt_cleaner.json").exists()
    assert (tmp_path / "model.tokenizer.json").read_bytes() != tokenizer


@pytest.mark.backends
def test_off_tensorflow_a_process_of_it_writes_the_file(tmp_path):
    for package in ("tensorflow", "onnx", "tf2onnx"):
        pytest.importorskip(package)
    if keras.backend.backend() == "tensorflow":
        pytest.skip("here no other process is needed")
    model = gan()
    model.export(tmp_path / "gan.onnx", format="onnx")
    images = run_onnx(tmp_path / "gan.onnx", {"latents": keras.ops.convert_to_numpy(of_seed(model, 4, 3)["latents"])})[
        "images"
    ]
    assert np.abs(images - expected(model.generate, 3, seed=4)).max() <= 1


def test_the_other_process_knows_classes_of_users(tmp_path, monkeypatch, tensorflow_backend):
    pytest.importorskip("onnx")
    (tmp_path / "invert.py").write_text(
        "from kgen.layers.image_filter import ImageFilter\n"
        "from kgen.serializable import serializable\n"
        "@serializable\n"
        "class Invert(ImageFilter):\n"
        "    def apply(self, images):\n"
        "        return 1.0 - images\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = gan(postprocessing=[importlib.import_module("invert").Invert()])
    _write_elsewhere(model, str(tmp_path / "gan.onnx"), "onnx")
    assert (tmp_path / "gan.onnx").is_file()


# === Every other model: a factory, and what its file is given ===
def photos(count=2, size=(16, 16), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3)).astype("uint8")


def with_prior():
    model = vae()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit_prior(tiny.pictures(48), components=2, verbose=0)
    return model


def two_scripts():
    encoder = tiny_text.text_encoder()
    return tiny_text.model(text_encoder=EncoderByScript(encoder, tiny_text.text_encoder()))


def restorer(masked):
    layer, scale = (RandomMask(0.4), 1) if masked else (Downscale(2), 2)
    return moved(ImageRestorer(layer, scale, network=network(scale, masked), seed=0))


def masks():
    made = (np.random.default_rng(1).uniform(size=(2, 40, 40)) < 0.3).astype("uint8")
    made[:, 5:20, 8:30] = 1
    return made


CASES = {
    "classifier": (classifier, {"images": photos(size=(8, 8))}),
    "multi_task": (both, {"images": photos(size=(8, 8))}),
    "upscaler": (lambda: restorer(False), {"images": photos(size=(17, 24))}),
    "inpainter": (lambda: restorer(True), {"images": photos(size=(40, 40)), "masks": masks()}),
    "style": (
        tiny_style.model,
        {"images": photos(), "styles": photos(seed=1), "strength": np.array([1.0, 0.5], "float32")},
    ),
    "cycle_gan": (cycle_gan, {"images": photos(size=CYCLE_GAN_SHAPE[:2])}),
    "autoencoder": (autoencoder, {"images": photos(size=(18, 24))}),
}


@pytest.mark.backends
@pytest.mark.parametrize("case", CASES)
def test_of_images(case, in_runtime):
    factory, inputs = CASES[case]
    model = factory()
    if keras.backend.backend() == "torch" and case not in ("classifier", "multi_task"):
        with pytest.raises(RuntimeError, match="takes images of any size, but torch.export would fix the size"):
            in_runtime(model, inputs)
        return
    found = in_runtime(model, inputs, {"inpainter": "SelectV2", "style": "Conv2D"}.get(case))
    wanted = model.serve_tensors({name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()})
    wanted = {f"output_{name}" if name in inputs else name: values for name, values in wanted.items()}
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        values = keras.ops.convert_to_numpy(values)
        assert found[name].dtype == values.dtype and values.std() > 0
        limit = 1 if values.dtype == np.uint8 else 1e-4
        assert np.abs(found[name].astype("float64") - values).max() <= limit


@pytest.mark.backends
def test_a_mixture_as_prior_takes_another_number(in_runtime):
    model = with_prior()
    inputs = of_seed(model, 3, 4)
    numbers = np.arange(4, dtype="int32")
    inputs["choice"] = component_noise(0 * numbers + 3, numbers)
    images = in_runtime(model, inputs, "Erf")["images"]
    assert np.abs(images - expected(model.generate, 4, seed=3)).max() <= 1


@pytest.mark.backends
def test_images_and_words(in_runtime):
    model = tiny_text.dual_encoder()
    images, tokens = tiny_text.pictures(3)[0], model.text_encoder.tokenize(PROMPTS[:2], cut=[])
    found = in_runtime(model, {"images": images, **{key: tokens[key] for key in ("token_ids", "padding_mask")}})
    np.testing.assert_allclose(found["output_images"], model.encode_images(images, verbose=0), atol=1e-4)
    np.testing.assert_allclose(found["texts"], model.encode_texts(PROMPTS[:2], verbose=0), atol=1e-4)


@pytest.mark.backends
def test_two_encoders(in_runtime):
    model = two_scripts()
    tokens = model.text_encoder.tokenize(PROMPTS)
    inputs = {"is_latin": tokens["is_latin"].astype("int32"), **of_seed(model, 5, 3)}
    for part in ("latin", "others"):
        inputs |= {f"{part}_{name}": tokens[part][name] for name in ("token_ids", "padding_mask")}
    with pytest.warns(
        UserWarning, match="tokenizer.json was not written, because it can describe only a single tokenizer"
    ):
        images = in_runtime(model, inputs)["images"]
    assert np.abs(images - expected(model.generate, PROMPTS, seed=5)).max() <= 1
