"""The TensorBoard writer that callbacks use."""

from __future__ import annotations

import os
from typing import Any


def summary_writer(owner: str, directory: str | os.PathLike) -> Any:
    """A `tf.summary` writer to a log directory.

    Raises:
        ImportError: without TensorFlow or TensorBoard; the message begins with `owner`.
    """
    try:
        import tensorboard  # noqa: F401
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f'{owner}: writing for TensorBoard needs TensorFlow and TensorBoard: pip install "keras-kgen[tensorboard]"'
        ) from error
    return tf.summary.create_file_writer(str(directory))
