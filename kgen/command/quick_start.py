"""A quicker start in a shell: imports Keras without its optional packages."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# Keras imports these if they are installed, for features that no command uses: plots, scikit-learn's wrappers,
# TensorFlow Lite's JAX converter. Together they take as long as Keras itself.
_NOT_NEEDED = ("jax", "matplotlib", "pandas", "scipy", "sklearn")
# KerasHub imports these to download models.
_DOWNLOADS = ("huggingface_hub", "kagglehub")


def import_keras(reads_text: bool = False) -> None:
    """Imports Keras and kgen's models, faster and more quietly than `import kgen.models`.

    If Keras is already imported, this has no effect on it.

    Args:
        reads_text: whether KerasHub is needed too, for a model on this machine.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _hidden(name for name in _NOT_NEEDED if name != _backend()), _native_quiet():
            import keras  # noqa: F401
        if reads_text:
            with _hidden(_DOWNLOADS):
                import keras_hub  # noqa: F401
    import kgen.models  # noqa: F401


def _backend():
    """The backend that Keras will choose."""
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError):
        return "tensorflow"


@contextlib.contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """A context in which these packages seem not to be installed."""
    names = [name for name in names if name not in sys.modules]
    # To `import`, None means that the module does not exist.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextlib.contextmanager
def _native_quiet() -> Iterator[None]:
    """A context that discards output to file descriptor 2, such as that of TensorFlow's libraries."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
