"""Statistics of real images that metrics need, computed once and kept in a file."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.files import check_writable, whole_file
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.metrics.feature_metric import pixels_of
from kgen.metrics.running_moments import Moments, RunningMoments
from kgen.metrics.running_sample import RunningSample
from kgen.progress import Progress
from kgen.types import Array, Tensor

_FORMAT = 1
# Features that are merged at once.
_CHUNK = 1024


class ReferenceStatistics:
    """Moments and a sample of the features of real images, from `reference_statistics` or `load`.

    Args:
        key: what was measured, a JSON dict with `data`, `image_shape`, `resize`, `extractor`, `max_samples`.
        moments: count, mean and covariance of all features.
        sample: float32 `(at most max_samples, dim)`.

    Example:

    ```python
    reference = kgen.metrics.reference_statistics(images, "efficientnet_lite0")
    distance = kgen.metrics.FrechetDistance("efficientnet_lite0", reference=reference)
    distance.update_state(None, model.generate(1000))
    ```
    """

    def __init__(self, key: dict[str, Any], moments: Moments, sample: Array):
        self.key = key
        self.moments = moments
        self.sample = sample

    def check_features(self, owner: str, extractor: FeatureExtractor | None) -> None:
        """Raises ValueError unless the reference was computed with this extractor."""
        if extractor is None:
            raise ValueError(f"{owner}: the reference was computed from images. Pass its feature_extractor too.")
        if different := _differences(self.key["extractor"], extractor.key):
            raise ValueError(f"{owner}: the features of the reference are not those of the metric: {different}.")

    def check_image_shape(self, owner: str, image_shape: tuple[int | None, ...]) -> None:
        """Raises ValueError unless images `(height, width, channels)` have the same shape as the reference's."""
        expected, given = tuple(self.key["image_shape"]), tuple(image_shape)
        if any(size is not None and size != other for size, other in zip(given, expected)):
            raise ValueError(
                f"{owner}: the reference has images of shape {expected}; got {given}. Compare images of the same "
                "size, since the distance depends on it."
            )

    def save(self, file: str | os.PathLike) -> None:
        """Writes everything to one `.npz` file; an existing file is replaced once the new one is complete."""
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        key = json.dumps({"format": _FORMAT, **self.key})
        with whole_file(file) as partial, open(partial, "wb") as stream:
            np.savez(stream, key=key, **self.moments._asdict(), sample=self.sample)

    @classmethod
    def load(cls, file: str | os.PathLike) -> ReferenceStatistics:
        """Reads a file that `save` wrote.

        Raises:
            OSError: if the file cannot be opened.
            ValueError: if it is another kind of file, damaged, or of another version.
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
                f"ReferenceStatistics: '{file}' is not a file of reference statistics, or is damaged ({error}). Remove "
                "it or choose another file."
            ) from error


def reference_statistics(
    images: Any,
    feature_extractor: Any,
    image_size: int | None = None,
    max_samples: int = 10_000,
    file: str | os.PathLike | None = None,
    batch_size: int = 64,
    verbose: int | str = "auto",
) -> ReferenceStatistics:
    """Statistics of the features of real images: computed the first time, later read from a file.

    Args:
        images: uint8 `(N, H, W, C)`; a `kgen.data.ImageFolder`; or the path of a folder of images.
        feature_extractor: the same as for the metrics.
        image_size: for a path: height and width in pixels to resize its images to, with antialiasing. Generated images
            must have the same size.
        max_samples: the most features to keep for metrics that need more than moments, at least 2.
        file: an `.npz` file to read, or to write if it does not exist; None for a file in kgen's cache. If the cache is
            not writable, it warns and writes nothing.
        batch_size: images per batch.
        verbose: 0: silent; 1: progress bar; "auto": a bar after two seconds.

    Raises:
        TypeError: for images that are not a uint8 array.
        OSError: if `file` cannot be written.
        ValueError: for invalid images, or a `file` that is damaged or has other data, another size or other features.

    Example:

    ```python
    reference = kgen.metrics.reference_statistics("my_images", "efficientnet_lite0", image_size=64)
    ```
    """
    # Not at the top, so that `import kgen` does not import kgen.data.
    from kgen.data import ImageFolder
    from kgen.data.cache_directory import cache_directory

    extractor = FeatureExtractor.of(feature_extractor)
    if extractor is None:
        raise ValueError("reference_statistics: pass a feature_extractor, such as 'efficientnet_lite0'.")
    batch_size = checks.integer("reference_statistics", "batch_size", batch_size)
    if isinstance(images, (str, Path)) != (image_size is not None):
        raise ValueError(
            "reference_statistics: pass image_size, the size of the generated images, if images is the path of a "
            "folder; otherwise leave it out."
        )
    if image_size is not None:
        images = ImageFolder(images, image_size)
    images = images if isinstance(images, ImageFolder) else _Array(images)
    key = {
        "data": images.fingerprint(),
        "image_shape": list(images.image_shape),
        "resize": f"lanczos, {images.resize}, on {images.background}" if images.resize else None,
        "extractor": extractor.key,
        "max_samples": checks.integer("reference_statistics", "max_samples", max_samples, least=2),
    }
    in_cache = file is None
    if file is None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        file = cache_directory() / "reference" / f"{extractor.name}-{digest[:24]}.npz"
    if Path(file).is_file():
        reference = ReferenceStatistics.load(file)
        if different := _differences(reference.key, key):
            raise ValueError(
                f"reference_statistics: '{file}' holds other statistics: {different}. Remove it or choose another file."
            )
        return reference
    try:
        check_writable("reference_statistics", file)
    except OSError as error:
        if not in_cache:
            raise
        warnings.warn(f"{error} The reference statistics will be computed again each time.", stacklevel=2)
        return _computed(key, images, extractor, batch_size, verbose)
    reference = _computed(key, images, extractor, batch_size, verbose)
    reference.save(file)
    return reference


def _computed(key, images, extractor, batch_size, verbose):
    owner = keras.metrics.Metric(name="reference")
    dim = extractor.dim(images.image_shape)
    moments, sample = RunningMoments(owner, "moments", dim), RunningSample(owner, "sample", dim, key["max_samples"])
    progress = Progress(len(images), "image", verbose)
    waiting = np.empty((0, dim), "float32")
    for batch in images.batches(batch_size):
        waiting = np.concatenate([waiting, extractor.extract(batch, batch_size, verbose=0)])
        if len(waiting) >= _CHUNK:
            moments.update(waiting)
            sample.update(waiting)
            waiting = waiting[:0]
        progress.add(len(batch))
    if len(waiting):
        moments.update(waiting)
        sample.update(waiting)
    return ReferenceStatistics(key, moments.read(), sample.read())


def _differences(stored, asked):
    """How a stored key differs from the one asked for, in words; empty if it does not."""
    words = []
    for name in asked:
        old, new = stored.get(name), asked[name]
        if isinstance(old, dict) and isinstance(new, dict):
            words += [f"{name} {inner}" for inner in [_differences(old, new)] if inner]
        elif old != new:
            words.append(f"{name} is {old!r}, expected {new!r}")
    return "; ".join(words)


class _Array:
    """Images in memory, with the interface of an `ImageFolder`."""

    resize = None

    def __init__(self, images: Tensor):
        shape, dtype = tuple(getattr(images, "shape", ())), getattr(images, "dtype", type(images).__name__)
        if len(shape) != 4 or keras.backend.standardize_dtype(dtype) != "uint8":
            raise TypeError(
                "reference_statistics: images must be a uint8 array (N, height, width, channels) or a folder; got "
                f"{dtype} of shape {shape}."
            )
        self.images = pixels_of("reference_statistics: images", images)
        self.image_shape = shape[1:]

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, batch_size: int) -> Iterator[Array]:
        for start in range(0, len(self), batch_size):
            yield ops.convert_to_numpy(self.images[start : start + batch_size])

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.image_shape}".encode())
        for batch in self.batches(_CHUNK):
            digest.update(batch.tobytes())
        return digest.hexdigest()
