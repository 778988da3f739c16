"""One of the processes of tests/distributed/test_workers.py: `python -m tests.distributed.worker FILE`.

It trains under `MultiWorkerMirroredStrategy` if `TF_CONFIG` is set, and writes to the file the number of replicas, the
weights before and after, the logs, and what Keras says to logs of a step as they are.
"""

import os
import pickle
import sys

import keras
import tensorflow as tf

from kgen.training.backend import tensorflow_replicas
from tests.checks import models
from tests.distributed import test_comparisons


def main(file):
    keras.utils.set_random_seed(0)
    # Before anything else of TensorFlow: it opens the connection to the other hosts.
    several = "TF_CONFIG" in os.environ
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
    data = test_comparisons.images(17)
    with strategy.scope():
        model = test_comparisons.comparing()
    before = model.get_weights()
    logs = models.fit(model, data, batch_size=8, epochs=2, validation_data=(data,)).history
    results = strategy.num_replicas_in_sync, before, model.get_weights(), logs, error_of_plain_logs(model, data)
    with open(file, "wb") as stream:
        pickle.dump(results, stream)


def error_of_plain_logs(model, data):
    tensorflow_replicas.reported = lambda logs: logs
    model.make_train_function(force=True)
    try:
        models.fit(model, data[:8], batch_size=8, epochs=1)
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main(sys.argv[1])
