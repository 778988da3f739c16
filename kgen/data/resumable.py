"""What long work leaves in a folder, so that it can go on after it was killed."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np

PARTIAL = ".partial"


def fingerprint(model):
    """Class and weights, as a string; what a model makes depends on no more."""
    from keras import ops

    digest = hashlib.sha256()
    for weight in getattr(model, "weights", None) or []:
        value = ops.convert_to_numpy(weight.value)
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return f"{type(model).__name__} {digest.hexdigest()}"


def was_begun(owner, file, description, done, otherwise):
    """Whether the work that a file describes is the one that is described.

    Args:
        owner: name that the error begins with.
        file: path of the description, a JSON file that `begin` wrote.
        description: dict.
        done: what was done with the folder, such as "drawn".
        otherwise: what one may do instead, for the error.

    Returns:
        False where there is no such file.

    Raises:
        ValueError: if it describes other work.
    """
    if not file.is_file():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    other = [name for name in description if found.get(name) != description[name]]
    if other:
        raise ValueError(
            f"{owner}: '{file.parent}' was {done} with another {', another '.join(other)}. Go on with the same, or "
            f"{otherwise}."
        )
    return True


def begin(file, description):
    """Writes a description, for `was_begun`."""
    write_whole(file, (json.dumps(description, indent=2) + "\n").encode())


def write_whole(file, content):
    """Writes bytes to a file that is there whole or not at all."""
    partial = file.with_name(file.name + PARTIAL)
    with open(partial, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, file)
