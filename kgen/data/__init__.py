"""Data sets of images and captions: from folders, from packages, or drawn by code."""

from kgen.data.avatars import HELD_OUT_AVATARS, avatars
from kgen.data.caption_folder import caption_folder
from kgen.data.captioned_folder import captioned_folder
from kgen.data.captioned_images import CaptionedImages
from kgen.data.captioned_shapes import HELD_OUT, MASK_NAMES, captioned_shapes
from kgen.data.compose import compose
from kgen.data.fashion_mnist import FASHION_MNIST_NAMES, fashion_mnist
from kgen.data.from_teacher import from_teacher
from kgen.data.icons import icons
from kgen.data.image_folder import ImageFolder
from kgen.data.openmoji import openmoji
from kgen.data.random_patches import random_patches
from kgen.data.shapes_reader import attributes_match, read_shapes
from kgen.data.textures import textures

__all__ = [
    "FASHION_MNIST_NAMES",
    "HELD_OUT",
    "HELD_OUT_AVATARS",
    "MASK_NAMES",
    "CaptionedImages",
    "ImageFolder",
    "attributes_match",
    "avatars",
    "caption_folder",
    "captioned_folder",
    "captioned_shapes",
    "compose",
    "fashion_mnist",
    "from_teacher",
    "icons",
    "openmoji",
    "random_patches",
    "read_shapes",
    "textures",
]
