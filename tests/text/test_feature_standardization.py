import keras
import numpy as np
import pytest
from keras import ops

from kgen.text import FeatureStandardization
from tests.checks.layers import check_saved_model_equal

pytestmark = pytest.mark.backends


def adapted(features):
    layer = FeatureStandardization()
    layer.build(features.shape)
    layer.adapt(features)
    return layer


def test_config_and_file(tmp_path):
    layer = FeatureStandardization(epsilon=0.1, limit=3.0)
    assert FeatureStandardization.from_config(layer.get_config()).get_config() == layer.get_config()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    layer.adapt(np.random.default_rng(0).normal(5.0, 2.0, (20, 3)))
    loaded = check_saved_model_equal(model, np.ones((2, 3), "float32"), tmp_path / "model.keras")
    assert float(ops.convert_to_numpy(loaded.layers[-1].adapted)) == 1.0


def test_mean_and_deviation():
    features = np.random.default_rng(0).normal(3.0, [0.1, 1.0, 10.0], (1000, 3)).astype("float32")
    result = ops.convert_to_numpy(adapted(features)(features))
    np.testing.assert_allclose(result.mean(axis=0), 0.0, atol=1e-2)
    # The small share of the mean deviation that is added weighs on the first feature alone.
    assert 0.3 < result[:, 0].std() < 0.5 and 0.8 < result[:, 1].std() < 1.0 and 0.9 < result[:, 2].std() < 1.0


def test_a_constant_feature_and_a_strange_one_stay_finite():
    features = np.random.default_rng(0).normal(size=(50, 2)).astype("float32")
    features[:, 1] = 7.0
    layer = adapted(features)
    result = ops.convert_to_numpy(layer(np.array([[1e6, 7.001]], "float32")))
    assert result[0, 0] == pytest.approx(6.0) and abs(result[0, 1]) < 0.1
    assert np.isfinite(ops.convert_to_numpy(adapted(features[:1])(features))).all()


def test_nothing_happens_before_adapt():
    layer = FeatureStandardization()
    features = np.array([[100.0, -3.0]], "float32")
    assert np.array_equal(ops.convert_to_numpy(layer(features)), features)


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.zeros(3), np.zeros((2, 3, 4))])
def test_what_it_cannot_adapt_to(wrong):
    layer = FeatureStandardization()
    layer.build((None, 3))
    with pytest.raises(ValueError, match="FeatureStandardization: adapt needs"):
        layer.adapt(wrong)
