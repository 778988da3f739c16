"""Metrics of generated images. Each result names the features that it was measured in."""

from kgen.metrics.classifier_score import ClassifierScore
from kgen.metrics.dual_feature_extractor import DualFeatureExtractor
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.metrics.feature_metric import FeatureMetric, update_all
from kgen.metrics.frechet_distance import FrechetDistance, frechet_distance
from kgen.metrics.image_errors import peak_signal_to_noise_ratio, perceptual_distance, structural_similarity
from kgen.metrics.kernel_distance import KernelDistance, kernel_distance
from kgen.metrics.precision_recall import DensityCoverage, PrecisionRecall
from kgen.metrics.reconstruction_error import ReconstructionError
from kgen.metrics.reference_statistics import ReferenceStatistics, reference_statistics
from kgen.metrics.retrieval import RetrievalRecall
from kgen.metrics.text_alignment import TextAlignment

__all__ = [
    "ClassifierScore",
    "DensityCoverage",
    "DualFeatureExtractor",
    "FeatureExtractor",
    "FeatureMetric",
    "FrechetDistance",
    "KernelDistance",
    "PrecisionRecall",
    "ReconstructionError",
    "ReferenceStatistics",
    "RetrievalRecall",
    "TextAlignment",
    "frechet_distance",
    "kernel_distance",
    "peak_signal_to_noise_ratio",
    "perceptual_distance",
    "reference_statistics",
    "structural_similarity",
    "update_all",
]
