"""Inception v3 of keras.applications as a feature extractor."""

from __future__ import annotations

import functools
import os

import keras

from kgen.metrics.feature_extractor import FeatureExtractor


@functools.cache
def inception_v3(output: str = "features", weights: str | None = "imagenet") -> FeatureExtractor:
    """Inception v3 of `keras.applications`, an extractor of features or of class probabilities [Szegedy et al. 2016].

    **These are not the features of the FID.** The FID uses another Inception, a TensorFlow graph of 2015. A Frechet
    distance in these features ranks models similarly, but is not an FID and not comparable with published FIDs.

    Images are prepared as in clean-fid [Parmar et al. 2022]: resized to 299x299 by antialiased bicubic interpolation in
    float, clipped to 0 and 255, never rounded.

    Args:
        output: `"features"`: `(batch, 2048)`, the mean over positions of the last layer, at least 0; or
            `"probabilities"`: `(batch, 1000)` of ImageNet's classes.
        weights: `"imagenet"`, which Keras downloads once (about 90 MB) and keeps in `~/.keras`; the path of such a
            file; or None for random weights.

    Returns:
        A `FeatureExtractor`, the same object for the same arguments. Its name says if the weights are random; its `key`
        differs for any other weights.

    Raises:
        ConnectionError: if the weights could not be downloaded.
        ValueError: for another `output`, a missing file, or a file of another network.

    Example:

    ```python
    kgen.metrics.FeatureExtractor.of("inception_v3").dim((64, 64, 3))       # 2048
    ```
    """
    if output not in ("features", "probabilities"):
        raise ValueError(f'inception_v3: output must be "features" or "probabilities"; got {output!r}.')
    if weights not in ("imagenet", None) and not os.path.isfile(weights):
        raise ValueError(f'inception_v3: weights must be "imagenet", a file or None; there is no file {weights!r}.')
    name = "inception_v3" if output == "features" else "inception_v3_probabilities"
    if weights is None:
        name += "_random"
    network = _in_float32(functools.partial(_network, name, output, weights))
    network.trainable = False
    return FeatureExtractor(
        network, image_size=299, value_range=(-1.0, 1.0), spec=name if weights == "imagenet" else None
    )


def _network(name, output, weights):
    try:
        return keras.applications.InceptionV3(
            include_top=output == "probabilities",
            weights=weights,
            input_shape=(299, 299, 3),
            pooling="avg",
            name=name,
        )
    except Exception as error:  # Keras raises a plain Exception when a download fails
        said = " ".join(str(error).split())
        if weights == "imagenet":
            raise ConnectionError(
                f"inception_v3: the weights could not be downloaded: {said}. If you have the file, use "
                f"inception_v3({output!r}, weights=path). Or use efficientnet_lite0, whose weights pip can install."
            ) from error
        raise ValueError(f"inception_v3: could not load weights={weights!r} for output={output!r}: {said}") from error


def _in_float32(build):
    """Runs `build()` under the policy float32: results from half precision, set for training, are not comparable."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(policy)
