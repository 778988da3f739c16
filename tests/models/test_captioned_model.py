"""Training on captioned pictures is tested by test_text_to_image.py; here is what it is a part of."""

from kgen.models import TextToImage
from kgen.models.captioned_model import CaptionedModel
from kgen.models.image_model import ImageModel


def test_what_comes_in_is_one_floor_above_pictures():
    assert issubclass(TextToImage, CaptionedModel) and issubclass(CaptionedModel, ImageModel)
    assert TextToImage.fit is CaptionedModel.fit and TextToImage.evaluate is CaptionedModel.evaluate
