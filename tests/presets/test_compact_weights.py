import keras
import numpy as np
import pytest

from kgen.presets.compact_weights import compact_weights, completed_weights

pytestmark = pytest.mark.backends


def saved(tmp_path, shared=True):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((128,)), keras.layers.Dense(128), keras.layers.Dense(128)])
    if shared:
        model.layers[1].set_weights(model.layers[0].get_weights())
    path = tmp_path / "model.keras"
    model.save(path)
    return model, path


def test_weights_that_are_equal_are_kept_once_and_unchanged(tmp_path):
    model, path = saved(tmp_path)
    before = path.stat().st_size
    compact_weights(path)
    assert path.stat().st_size < 0.6 * before
    for found, wanted in zip(keras.models.load_model(path).get_weights(), model.get_weights()):
        assert np.array_equal(found, wanted)


def test_float16_halves_the_file_and_rounds_to_eleven_bits(tmp_path):
    model, path = saved(tmp_path, shared=False)
    before = path.stat().st_size
    compact_weights(path, "float16")
    assert path.stat().st_size < 0.6 * before
    for found, wanted in zip(keras.models.load_model(path).get_weights(), model.get_weights()):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=2.0**-11, atol=1e-7)


def test_integers_are_kept_and_what_float16_cannot_hold_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5, seed=123456789), keras.layers.Dense(1)])
    path = tmp_path / "model.keras"
    model.save(path)
    compact_weights(path, "float16")
    states = [
        keras.ops.convert_to_numpy(each.layers[0].seed_generator.state)
        for each in (model, keras.models.load_model(path))
    ]
    assert np.array_equal(*states)
    model.layers[1].set_weights([np.full((2, 1), 1e6), np.zeros(1)])
    model.save(path)
    with pytest.raises(ValueError, match="too large for float16"):
        compact_weights(path, "float16")
    # The file that was there is still whole.
    assert keras.models.load_model(path).get_weights()[0][0, 0] == 1e6


def test_weights_of_another_file_are_left_out_and_come_back(tmp_path):
    model, path = saved(tmp_path, shared=False)
    other = keras.Sequential([keras.Input((128,)), keras.layers.Dense(128, name="own")])
    other.layers[0].set_weights(model.layers[1].get_weights())
    other.save(tmp_path / "other.keras")
    compact_weights(tmp_path / "other.keras", "float16")
    compact_weights(path, "float16")
    alone, wanted = path.stat().st_size, keras.models.load_model(path).get_weights()
    others = {"other": tmp_path / "other.keras", "unrelated": tmp_path / "unrelated.keras"}
    keras.Sequential([keras.Input((9,)), keras.layers.Dense(99)]).save(others["unrelated"])
    assert compact_weights(path, "float16", others) == {"other"}
    assert path.stat().st_size < 0.6 * alone
    completed_weights(path, others, tmp_path / "whole.keras")
    for found, weight in zip(keras.models.load_model(tmp_path / "whole.keras").get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(found, weight)
    assert compact_weights(tmp_path / "whole.keras", None) == set()


def test_int8_quarters_the_file_and_rounds_within_each_column(tmp_path):
    model, path = saved(tmp_path, shared=False)
    before = path.stat().st_size
    wide = np.random.default_rng(0).normal(size=(128, 128)) * np.geomspace(1e-3, 1e3, 128)
    wide[:, 5] = 0.0
    model.layers[1].set_weights([wide, np.arange(128) / 7.0])
    model.save(path)
    compact_weights(path, "int8")
    assert path.stat().st_size < 0.35 * before
    completed_weights(path, {}, tmp_path / "whole.keras")
    found = keras.models.load_model(tmp_path / "whole.keras").get_weights()
    assert {each.dtype for each in found} == {np.dtype("float32")}
    for kernel, wanted in zip(found[::2], model.get_weights()[::2]):
        assert np.all(np.abs(kernel - wanted) <= np.abs(wanted).max(axis=0) / 127.0 * 0.501)
    # What is no kernel is in float16.
    np.testing.assert_allclose(found[3], model.get_weights()[3], rtol=2.0**-11)


def test_weights_that_another_file_has_in_int8_are_left_out_and_come_back(tmp_path):
    model, path = saved(tmp_path, shared=False)
    other = tmp_path / "other.keras"
    model.save(other)
    compact_weights(other, "int8")
    completed_weights(other, {}, path)
    wanted = keras.models.load_model(path).get_weights()
    keras.models.load_model(path).save(path)
    assert compact_weights(path, "int8", {"other": other}) == {"other"}
    assert path.stat().st_size < 0.5 * other.stat().st_size
    completed_weights(path, {"other": other}, tmp_path / "whole.keras")
    for found, weight in zip(keras.models.load_model(tmp_path / "whole.keras").get_weights(), wanted, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, weight)


def test_int8_of_so_many_columns_that_scales_fit_no_attribute_of_old(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(40000)])
    model.save(tmp_path / "model.keras")
    compact_weights(tmp_path / "model.keras", "int8")
    completed_weights(tmp_path / "model.keras", {}, tmp_path / "whole.keras")
    found = keras.models.load_model(tmp_path / "whole.keras").get_weights()[0]
    np.testing.assert_allclose(found, model.get_weights()[0], atol=np.abs(found).max() / 127.0)
