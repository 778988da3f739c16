"""Factories of small metrics, and what to update them by."""

import keras
import numpy as np

from kgen import metrics

DIM = 5


def features(n=36, seed=0):
    """Features of real and of generated images, which are near to theirs: float32 `(n, DIM)` each."""
    random = np.random.default_rng(seed)
    real = random.normal(size=(n, DIM)) @ random.normal(size=(DIM, DIM)) + 3.0
    generated = 0.9 * real + 0.4 * random.normal(size=(n, DIM)) + 0.3
    return real.astype("float32"), generated.astype("float32")


def probabilities(n=36, seed=0):
    """Two sets of class probabilities."""
    logits = np.stack(features(n, seed))
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def images(n=36, size=16, seed=0):
    """uint8 images, and the same with noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (n, 4, 4, 3)).repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    return coarse.astype("uint8"), np.clip(coarse + random.normal(0, 20, coarse.shape), 0, 255).astype("uint8")


def small_network(outputs=6, seed=0):
    """A network from images of any size to few features."""
    convolution = keras.layers.Conv2D(
        outputs, 3, strides=2, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(seed)
    )
    return keras.Sequential(
        [keras.Input((None, None, 3)), convolution, keras.layers.GlobalAveragePooling2D()], name="small"
    )


def frechet():
    return metrics.FrechetDistance()


def kernel():
    return metrics.KernelDistance(subsets=4, subset_size=12)


def kernel_of_all():
    return metrics.KernelDistance()


def precision_recall():
    return metrics.PrecisionRecall()


def density_coverage():
    return metrics.DensityCoverage(max_samples=37)


def classifier_score():
    return metrics.ClassifierScore()


def retrieval():
    return metrics.RetrievalRecall(among=10)


def retrieval_euclidean():
    return metrics.RetrievalRecall(among=10, similarity="euclidean")


def alignment():
    return metrics.TextAlignment(among=10)


def reconstruction():
    return metrics.ReconstructionError()
