"""examples/notebooks: each is what jupytext makes of the script of its name, and does what it says when it is run."""

import ast
import base64
import io
import json
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "notebooks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# What must be true of a notebook's variables when it has run, and how many images it shows.
RESULTS = {
    "classify_segment_caption": (["accuracy > 0.6", "overlap > 0.5", "captions_right > 0.6"], 9),
    "enhancement_and_style": (["gained > 8", "own_gained > 1.5"], 8),
    "gan": (["precision > 0.3", "recall > 0.2", "watch.reason is None"], 6),
    "many_devices": (
        ["strategy.num_replicas_in_sync == 2", "apart < 0.01", "two['loss'][-1] < two['loss'][0]", "same"],
        3,
    ),
    "many_devices_jax": (
        ["len(kernel.sharding.device_set) == 2", "apart < 0.05", "part != cut.shape", "difference <= 1"],
        3,
    ),
    "vae": (["decibels_gained > 6", "auc > 0.8", "right > 0.7", "gained > 5"], 11),
    "words_to_images": (["right > 0.8", "difference <= 2"], 8),
}
# What makes them short: that they run is checked here, and with KGEN_WHOLE=1 in the environment what they reach, too.
SHORTER = {
    "classify_segment_caption": {"[::2]": "[::40]", "epochs=8": "epochs=1", "else 7": "else 1", "else 11": "else 1"},
    "enhancement_and_style": {"else 1200": "else 64", "gpu else 6\n": "gpu else 1\n"},
    "gan": {"(5, 5120)": "(1, 320)"},
    "many_devices": {"else 5": "else 1"},
    "many_devices_jax": {"10 if devices": "1 if devices"},
    "vae": {"else 6": "else 1"},
    "words_to_images": {"else 420": "else 10"},
}
# All that two cores have in four minutes.
MOST_PROCESSOR_SECONDS = 480
NEED_FASHION_MNIST = {"gan", "vae"}

every_notebook = pytest.mark.parametrize("name", RESULTS)


def read(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def sources(name, kind):
    return ["".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == kind]


def test_all_are_listed():
    for ending in ("py", "ipynb"):
        assert sorted(file.stem for file in FOLDER.glob(f"*.{ending}")) == sorted(RESULTS)


@every_notebook
def test_is_what_jupytext_makes_of_its_script(name):
    jupytext = pytest.importorskip("jupytext")
    made, kept = json.loads(jupytext.writes(jupytext.read(FOLDER / f"{name}.py"), "ipynb")), read(name)
    for cell in [*made["cells"], *kept["cells"]]:
        # Random, where it is made anew.
        del cell["id"]
    assert kept == made, f"Run: jupytext --update --to ipynb examples/notebooks/{name}.py"


@every_notebook
def test_has_no_outputs_and_its_code_compiles(name):
    cells = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    for code in sources(name, "code"):
        # A magic is a statement of IPython alone.
        ast.parse(re.sub(r"^(\s*)%.*$", r"\1pass", code, flags=re.MULTILINE))


@every_notebook
def test_begins_with_a_badge_and_installs_what_it_needs(name):
    repository = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{repository}/blob/main/examples/notebooks/{name}.ipynb)"
    )
    texts, codes = sources(name, "markdown"), sources(name, "code")
    assert texts[0].startswith(f"{badge}\n\n# ")
    assert "## What to try next" in texts[-1]
    distribution, extras = re.search(r'%pip install -q "([\w-]+)\[([a-z,]+)\]"', codes[0]).groups()
    assert distribution == PROJECT["name"]
    assert "demo" in extras.split(",") and set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    # Where kgen is there already, nothing is installed.
    assert re.search(r'if not .*find_spec.*"kgen".*:\n(    #.*\n)?    %pip', codes[0])


@every_notebook
def test_what_it_links_to_is_there(name):
    for text in sources(name, "markdown"):
        for path in re.findall(rf"{PROJECT['urls']['Repository']}/blob/main/([\w/.-]+)", text):
            assert (ROOT / path).is_file(), path


def test_scripts_and_notebooks_share_no_paragraph():
    """They share no ten words in a row: where both would say the same, the script names the notebook."""
    said = {}
    for name in RESULTS:
        for text in sources(name, "markdown"):
            said |= dict.fromkeys(runs_of_words(text), name)
    for script in (ROOT / "examples").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        common = [words for words in runs_of_words(text) if words in said]
        assert not common, (script.name, said[common[0]], common[0])
        named = re.findall(r"notebooks/(\w+)\.ipynb", ast.get_docstring(ast.parse(text)))
        assert named and set(named) <= set(RESULTS), script.name


def runs_of_words(text, length=10):
    words = re.findall(r"[a-z']+", text.lower())
    return [" ".join(words[i : i + length]) for i in range(len(words) - length + 1)]


@every_notebook
def test_runs_and_shows_what_it_says(name, tmp_path, monkeypatch, tensorflow_backend):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    if name == "many_devices_jax":
        pytest.importorskip("jax")
    if name in NEED_FASHION_MNIST:
        from kgen.data import fashion_mnist

        try:
            fashion_mnist("test")
        except ConnectionError:
            pytest.skip("Fashion-MNIST is not on this machine")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # The tests' own, which would make JAX slow.
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS", raising=False)
    notebook, whole = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4), "KGEN_WHOLE" in os.environ
    for long, short in {}.items() if whole else SHORTER[name].items():
        assert sum(cell.source.count(long) for cell in notebook.cells) == 1, long
        for cell in notebook.cells:
            cell.source = cell.source.replace(long, short)
    wanted, images = RESULTS[name]
    ask = f"""
import json, resource
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([usage.ru_utime + usage.ru_stime, {{each: bool(eval(each)) for each in {wanted!r}}}]))
"""
    notebook.cells.append(nbformat.v4.new_code_cell(ask))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=resources).execute()
    seconds, true = json.loads(notebook.cells[-1].outputs[-1].text)
    assert all(true.values()) or not whole, true
    assert seconds < MOST_PROCESSOR_SECONDS
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("L"))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert all(image.std() > 5.0 for image in shown) and (len(shown) >= images or not whole)
    assert len(shown) >= images // 2
