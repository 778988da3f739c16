"""BERT directories of today for the KerasHub of yesterday."""

import contextlib
import os
import shutil
import tempfile

_WEIGHTS = "model.safetensors"


@contextlib.contextmanager
def renamed_bert(directory):
    """A directory like this one with the weights of its BERT under the names of the first BERT.

    KerasHub 0.25, the last for Python 3.10, looks for `bert.embeddings.LayerNorm.gamma` where sentence-transformers
    writes `embeddings.LayerNorm.weight`. The copy is gone when the context ends.

    Args:
        directory: in the format of transformers, with `model.safetensors`.

    Example:
        ```python
        with renamed_bert("path/to/all-MiniLM-L6-v2") as directory:
            backbone = keras_hub.models.Backbone.from_preset(directory)
        ```
    """
    from safetensors.numpy import load_file, save_file

    def original(name):
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return name if name.startswith("bert.") else f"bert.{name}"

    with tempfile.TemporaryDirectory() as copy:
        for entry in os.scandir(directory):
            if entry.is_file() and entry.name != _WEIGHTS:
                shutil.copy(entry.path, copy)
        weights = load_file(os.path.join(directory, _WEIGHTS))
        save_file({original(name): value for name, value in weights.items()}, os.path.join(copy, _WEIGHTS))
        yield copy
