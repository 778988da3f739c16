"""What the measures need of the real pictures, computed once and kept."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.metrics.feature_metric import pixels_of
from kgen.metrics.running_moments import Moments, RunningMoments
from kgen.metrics.running_sample import RunningSample
from kgen.metrics.sample_metric import check_count

_FORMAT = 1
# Features that are merged at once.
_CHUNK = 1024
# Work beyond so many pictures shows its progress.
_LONG = 500


class ReferenceStatistics:
    """Moments and a sample of the features of real pictures; made by `reference_statistics`, or read by `load`.

    Args:
        key: what they are of: a dict for JSON with `data`, `image_shape`, `resize`, `extractor`, `max_samples`.
        moments: count, mean and covariance of all features.
        sample: float32 `(at most max_samples, dim)`.

    Example:

    ```python
    reference = kgen.metrics.reference_statistics(images, "efficientnet_lite0")
    distance = kgen.metrics.FrechetDistance("efficientnet_lite0", reference=reference)
    distance.update_state(None, model.generate(1000))
    ```
    """

    def __init__(self, key, moments, sample):
        self.key = key
        self.moments = moments
        self.sample = sample

    def check_features(self, owner, extractor):
        """Raises ValueError unless the reference was computed with this extractor."""
        if extractor is None:
            raise ValueError(f"{owner}: the reference is of features of pictures; name the feature_extractor too.")
        if different := _differences(self.key["extractor"], extractor.key):
            raise ValueError(f"{owner}: the reference is of other features than the metric's: {different}.")

    def check_image_shape(self, owner, image_shape):
        """Raises ValueError unless pictures `(height, width, channels)` have the shape of those of the reference."""
        expected, given = tuple(self.key["image_shape"]), tuple(image_shape)
        if any(size is not None and size != other for size, other in zip(given, expected)):
            raise ValueError(
                f"{owner}: the reference is of pictures of shape {expected}; got {given}. Compare pictures of one "
                "size: another size is another distance."
            )

    def save(self, file):
        """Writes everything to one `.npz` file; a file that is there is replaced when the new one is whole."""
        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        try:
            with open(partial, "wb") as stream:
                np.savez(
                    stream,
                    key=json.dumps({"format": _FORMAT, **self.key}),
                    **self.moments._asdict(),
                    sample=self.sample,
                )
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, file):
        """Reads what `save` wrote.

        Raises:
            OSError: if the file cannot be opened.
            ValueError: if it is none of `save`'s, or of another version.
        """
        try:
            with np.load(file, allow_pickle=False) as stored:
                key = json.loads(str(stored["key"]))
                if key.pop("format") != _FORMAT:
                    raise ValueError("it has another format")
                moments = Moments(int(stored["count"]), stored["mean"], stored["covariance"])
                return cls(key, moments, stored["sample"])
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except Exception as error:  # noqa: BLE001  (zipfile, numpy and json each have their own)
            raise ValueError(
                f"ReferenceStatistics: '{file}' is no file of reference statistics, or damaged ({error}). Remove it, "
                "or name another."
            ) from error


def reference_statistics(
    images, feature_extractor, image_size=None, max_samples=10_000, file=None, batch_size=64, verbose="auto"
):
    """Features of real pictures, summed up once, and from then on read from a file.

    Args:
        images: uint8 `(N, H, W, C)`; a `kgen.data.ImageFolder`; or the path of a folder of pictures.
        feature_extractor: as of the measures that will use it.
        image_size: for a path: height and width in pixels to which its pictures are resized, with antialiasing, and
            which generated ones must have.
        max_samples: features to keep for measures that need more than moments.
        file: an `.npz` file to read or, where there is none, to write; None: one in kgen's cache.
        batch_size: pictures computed at once.
        verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

    Returns:
        `ReferenceStatistics`.

    Raises:
        TypeError: for pictures that are no uint8 array.
        ValueError: for bad pictures, or a `file` of other data, another size or other features, or that is damaged.

    Example:

    ```python
    reference = kgen.metrics.reference_statistics("my_pictures", "efficientnet_lite0", image_size=64)
    ```
    """
    # Here, for `import kgen` to leave kgen.data for later.
    from kgen.data import ImageFolder
    from kgen.data.cache_directory import cache_directory

    extractor = FeatureExtractor.of(feature_extractor)
    if extractor is None:
        raise ValueError("reference_statistics: name a feature_extractor, such as 'efficientnet_lite0'.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"reference_statistics: batch_size must be at least 1; got {batch_size!r}.")
    if isinstance(images, (str, Path)) != (image_size is not None):
        raise ValueError(
            "reference_statistics: give image_size, the size of the generated pictures, with the path of a folder, and "
            "with nothing else."
        )
    if isinstance(images, (str, Path)):
        images = ImageFolder(images, image_size)
    images = images if isinstance(images, ImageFolder) else _Array(images)
    key = {
        "data": images.fingerprint(),
        "image_shape": list(images.image_shape),
        "resize": f"lanczos, {images.resize}, on {images.background}" if images.resize else None,
        "extractor": extractor.key,
        "max_samples": check_count("reference_statistics", "max_samples", max_samples, 2),
    }
    if file is None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        file = cache_directory() / "reference" / f"{extractor.name}-{digest[:24]}.npz"
    if Path(file).is_file():
        reference = ReferenceStatistics.load(file)
        if different := _differences(reference.key, key):
            raise ValueError(
                f"reference_statistics: '{file}' is of something else: {different}. Remove it, or name another."
            )
        return reference
    reference = _computed(key, images, extractor, batch_size, verbose)
    reference.save(file)
    return reference


def _computed(key, images, extractor, batch_size, verbose):
    owner = keras.metrics.Metric(name="reference")
    dim = extractor.dim(images.image_shape)
    moments, sample = RunningMoments(owner, "moments", dim), RunningSample(owner, "sample", dim, key["max_samples"])
    shown = verbose == 1 or (verbose == "auto" and len(images) > _LONG)
    progress = keras.utils.Progbar(len(images), unit_name="image") if shown else None
    waiting = np.empty((0, dim), "float32")
    for batch in images.batches(batch_size):
        waiting = np.concatenate([waiting, extractor.extract(batch, batch_size, verbose=0)])
        if len(waiting) >= _CHUNK:
            moments.update(waiting)
            sample.update(waiting)
            waiting = waiting[:0]
        if progress:
            progress.add(len(batch))
    if len(waiting):
        moments.update(waiting)
        sample.update(waiting)
    return ReferenceStatistics(key, moments.read(), sample.read())


def _differences(stored, asked):
    """In words, how a key that was read differs from the one asked for; empty where it does not."""
    words = []
    for name in asked:
        old, new = stored.get(name), asked[name]
        if isinstance(old, dict) and isinstance(new, dict):
            words += [f"{name} {inner}" for inner in [_differences(old, new)] if inner]
        elif old != new:
            words.append(f"{name} is {old!r}, asked for {new!r}")
    return "; ".join(words)


class _Array:
    """Pictures in memory, read like a `ImageFolder`."""

    resize = None

    def __init__(self, images):
        shape, dtype = tuple(getattr(images, "shape", ())), getattr(images, "dtype", type(images).__name__)
        if len(shape) != 4 or keras.backend.standardize_dtype(dtype) != "uint8":
            raise TypeError(
                "reference_statistics: pictures must be a uint8 array (N, height, width, channels), or a folder; got "
                f"{dtype} of shape {shape}."
            )
        self.images = pixels_of("reference_statistics: pictures", images)
        self.image_shape = shape[1:]

    def __len__(self):
        return len(self.images)

    def batches(self, batch_size):
        for start in range(0, len(self), batch_size):
            yield ops.convert_to_numpy(self.images[start : start + batch_size])

    def fingerprint(self):
        digest = hashlib.sha256(f"{self.image_shape}".encode())
        for batch in self.batches(_CHUNK):
            digest.update(np.ascontiguousarray(batch))
        return digest.hexdigest()
