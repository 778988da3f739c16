"""Training for a fixed processor time, the same for every recipe."""

import math
import time

import keras


class Seconds(keras.callbacks.Callback):
    """Stops training after a given processor time, counted from the end of the first step, which compiles.

    Args:
        seconds: of processor time.
        rate: initial learning rate, which falls to 0 along a cosine; None leaves the optimizer's rate unchanged.
    """

    def __init__(self, seconds, rate=None):
        super().__init__()
        self.seconds, self.rate, self.begin, self.steps = seconds, rate, None, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.begin = self.begin or time.process_time()
        done = min((time.process_time() - self.begin) / self.seconds, 1.0)
        if self.rate is not None:
            self.model.optimizer.learning_rate = self.rate * 0.5 * (1.0 + math.cos(math.pi * done))
        self.model.stop_training = done == 1.0
