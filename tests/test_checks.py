import numpy as np
import pytest

from kgen import checks


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_python_and_numpy_are_taken(value):
    result = checks.integer("GAN", "latent_dim", value)
    assert result == 3 and type(result) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, 0, [3]])
def test_what_is_no_positive_integer_is_refused(value):
    with pytest.raises(ValueError, match="^GAN: latent_dim must be an integer of at least 1; got"):
        checks.integer("GAN", "latent_dim", value)


def test_bounds_are_named():
    assert checks.integer("f", "n", -5, least=None) == -5
    with pytest.raises(ValueError, match="from 2 to 4; got 5"):
        checks.integer("f", "n", 5, least=2, most=4)
    with pytest.raises(ValueError, match="an integer of at most 4; got 5"):
        checks.integer("f", "n", 5, least=None, most=4)


def test_seeds_fit_32_bits():
    assert checks.seed("f", None) is None and checks.seed("f", np.int32(-7)) == -7
    for value in (2**31, -(2**31), 1.0, "0"):
        with pytest.raises(ValueError, match="f: seed must be an integer"):
            checks.seed("f", value)
    with pytest.raises(ValueError, match="seed"):
        checks.seed("f", None, optional=False)


def test_numbers():
    assert checks.number("f", "share", 0.5, least=0.0, below=1.0) == 0.5
    for value in (1.0, -0.1, float("nan"), True, "0.5"):
        with pytest.raises(ValueError, match=r"f: share must be in \[0, 1\); got"):
            checks.number("f", "share", value, least=0.0, below=1.0)
    with pytest.raises(ValueError, match="a number of at least 0; got inf"):
        checks.number("f", "weight", float("inf"), least=0.0)


def test_arrays_of_numbers():
    assert checks.floats("f", "latents", [[1, 2]], (None, 2)).dtype == "float32"
    for value in ([1.0, 2.0], [[1.0]], np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"f: latents must have shape \(any, 2\); got"):
            checks.floats("f", "latents", value, (None, 2))
    with pytest.raises(ValueError, match="f: latents must be finite"):
        checks.floats("f", "latents", [[1.0, np.nan]], (None, 2))
