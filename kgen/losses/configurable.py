"""What lets a loss travel in the config of a saved model."""

from __future__ import annotations


class Configurable:
    """Base of losses that are objects: rebuilt from the arguments that `get_config` gives.

    Example:

    ```python
    keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(kgen.losses.R1(10.0))).weight   # 10.0
    ```
    """

    def get_config(self):
        """The constructor's arguments; none unless a subclass says so."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The loss with these arguments."""
        return cls(**config)
