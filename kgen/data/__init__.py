"""From files to batches, with captions."""

from kgen.data.captioned_folder import captioned_folder
from kgen.data.captioned_images import CaptionedImages
from kgen.data.captioned_shapes import HELD_OUT, captioned_shapes
from kgen.data.openmoji import openmoji
from kgen.data.picture_folder import PictureFolder
from kgen.data.shapes_reader import attributes_match, read_shapes

__all__ = [
    "HELD_OUT",
    "CaptionedImages",
    "PictureFolder",
    "attributes_match",
    "captioned_folder",
    "captioned_shapes",
    "openmoji",
    "read_shapes",
]
