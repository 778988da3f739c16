"""The Frechet distance between two sets of features."""

from __future__ import annotations

import warnings

import numpy as np

from kgen.metrics.distribution_metric import DistributionMetric
from kgen.metrics.running_moments import Moments, RunningMoments
from kgen.serializable import serializable
from kgen.types import Array


@serializable
class FrechetDistance(DistributionMetric):
    r"""Distance between Gaussians fitted to the features of real and of generated images; 0 is best.

    `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` for means m, covariances C [Frechet 1957; for images Heusel et al. 2017,
    "GANs trained by a two time-scale update rule converge to a local Nash equilibrium"]. It is the FID only with the
    features of that paper's Inception network; here it always carries the name of its features.

    Few images bias it upwards, so compare only results from equal numbers of images. With fewer images than features,
    the covariances do not have full rank: the distance is still computed, with a warning.

    Args:
        feature_extractor, value_range, name: see `FeatureMetric`.
        reference: `ReferenceStatistics` of the real images; then pass None for them.

    Example:

    ```python
    distance = kgen.metrics.FrechetDistance("efficientnet_lite0")
    distance.update_state(real, model.generate(1000))     # uint8 (N, H, W, C), in any number of batches
    distance.result()
    ```
    """

    measures = {"frechet_distance": "min"}

    def summary(self, name: str, dim: int) -> RunningMoments:
        return RunningMoments(self, name, dim)

    def compare(self, real: Moments, generated: Moments) -> list[float]:
        fewest, dim = min(real.count, generated.count), len(real.mean)
        if fewest <= dim:
            warnings.warn(
                f"{self.name}: {fewest} images are too few for features of length {dim}: the covariances have rank "
                f"{fewest - 1}, and the distance is larger than it would be for more images.",
                stacklevel=4,
            )
        return [frechet_distance(real.mean, real.covariance, generated.mean, generated.covariance)]


def frechet_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """The Frechet distance between two Gaussians, squared as is usual in the field.

    The eigenvalues of `C C'` are those of the symmetric `L^T C' L` where `C = L L^T`, so the trace of the root needs a
    Cholesky factor and the eigenvalues of one symmetric matrix, but no matrix root.

    Args:
        mean_1, mean_2: float64 `(dim,)`.
        covariance_1, covariance_2: float64 `(dim, dim)`; they need not have full rank.

    Example:

    ```python
    frechet_distance(np.zeros(2), np.eye(2), np.ones(2), 4 * np.eye(2))     # 2 + 2 * (1 + 4 - 2 * 2) = 4.0
    ```
    """
    try:
        factor = np.linalg.cholesky(covariance_1)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance_1)
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
    eigenvalues = np.linalg.eigvalsh(factor.T @ covariance_2 @ factor)
    root = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    difference = mean_1 - mean_2
    distance = difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * root
    # Rounding can take a distance of 0 below 0.
    return max(float(distance), 0.0)
