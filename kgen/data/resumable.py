"""Files that long work keeps in a folder, so that it can resume after it was killed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from kgen.files import write_whole

# Names of kgen's own files, besides images and captions.
CAPTIONER, SO_FAR, TEACHER = "captioner.json", "captions.jsonl.partial", "teacher.json"


def fingerprint(model: Any) -> str:
    """A model's class and a hash of its weights: its output depends on nothing else."""
    digest = hashlib.sha256()
    for weight in getattr(model, "weights", None) or []:
        value = ops.convert_to_numpy(weight.value)
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return f"{type(model).__name__} {digest.hexdigest()}"


def was_begun(owner: str, file: Path, description: dict[str, Any], done: str, otherwise: str) -> bool:
    """Whether this work was begun before; refuses a folder of other work.

    Args:
        owner: name at the start of the error.
        file: path of the description, a JSON file that `begin` wrote.
        description: dict that identifies this work.
        done: what was done with the folder, such as "drawn"; for the error.
        otherwise: what the user may do instead; for the error.

    Returns:
        False if the file does not exist.

    Raises:
        ValueError: if it describes other work.
    """
    if not file.is_file():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    other = [name for name in description if found.get(name) != description[name]]
    if other:
        raise ValueError(
            f"{owner}: '{file.parent}' was {done} with another {', another '.join(other)}. Use the same again, or "
            f"{otherwise}."
        )
    return True


def begin(file: Path, description: dict[str, Any]) -> None:
    """Writes a description for `was_begun`."""
    write_whole(file, json.dumps(description, indent=2) + "\n")
