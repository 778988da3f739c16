"""The inputs of models: images, captions, pairs and prompts, checked and prepared."""

from kgen.inputs.answer_input import AnswerInput
from kgen.inputs.caption_input import CaptionInput
from kgen.inputs.class_labels import ClassLabels
from kgen.inputs.image_input import ImageInput
from kgen.inputs.pair_input import PairInput
from kgen.inputs.patch_input import PatchInput
from kgen.inputs.prompt_input import PromptInput

__all__ = ["AnswerInput", "CaptionInput", "ClassLabels", "ImageInput", "PairInput", "PatchInput", "PromptInput"]
