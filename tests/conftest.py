"""What every test gets: quiet libraries, seeds of its own, and a skip where its backend is another."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


import keras  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def seeds():
    """Every test draws the same random numbers, alone or among others."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def tensorflow_backend():
    """Skips a test of what only TensorFlow has: tf.distribute, tapes, XLA's flags."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs KERAS_BACKEND=tensorflow")
