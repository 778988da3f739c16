"""What Keras and TensorFlow still do that kgen's replicas work around. If a test here fails, a work-around can go."""

import importlib.util
import platform

import keras
import numpy as np
import pytest

from tests.checks.processes import in_worker, replicas

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere convolutions are others")
def test_convolutions_lose_the_channels_of_no_rows(tensorflow_backend):
    import tensorflow as tf
    from tensorflow.python.framework.test_util import IsMklEnabled

    if not IsMklEnabled():
        pytest.skip("only oneDNN's do, which TensorFlow chooses by the processor")
    with tf.device("cpu"):
        result = tf.nn.conv2d(tf.zeros((0, 4, 4, 3)), tf.zeros((1, 1, 3, 8)), 1, "SAME")
    assert result.shape != (0, 4, 4, 8), "`_take_empty_shares` in kgen/training/backend/tensorflow_replicas.py can go"


def test_keras_clips_before_it_sums():
    step = in_worker(clipped_step, backend="tensorflow")
    # Gradients of 3 and three of -1 sum to 0, and 1 is the largest norm.
    assert step == 2.0, "`apply_gradients` in kgen/training/backend/tensorflow_replicas.py can go"


def clipped_step():
    import tensorflow as tf

    strategy = replicas(4)
    with strategy.scope():
        weight = keras.Variable(np.zeros(1, "float32"))
        optimizer = keras.optimizers.SGD(1.0, global_clipnorm=1.0)
        optimizer.build([weight])

    @tf.function
    def step():
        def apply():
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            optimizer.apply([tf.where(first, [3.0], [-1.0])], [weight])

        strategy.run(apply)

    step()
    return float(weight.numpy()[0])
