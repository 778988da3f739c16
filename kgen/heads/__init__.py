"""Heads of a recognition model: what it learns to predict from a backbone's features."""

from kgen.heads.classification_head import ClassificationHead
from kgen.heads.head import Head
from kgen.heads.reconstruction_head import ReconstructionHead
from kgen.heads.segmentation_head import SegmentationHead

__all__ = ["ClassificationHead", "Head", "ReconstructionHead", "SegmentationHead"]
