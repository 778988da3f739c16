"""From strings to conditions: clean prompts, text encoders of KerasHub, features computed once."""

from kgen.text.caption_batches import CaptionBatches, CaptionTokens, attach_features
from kgen.text.caption_encoder import encoder_from_captions
from kgen.text.caption_features import CaptionFeatures
from kgen.text.encoder_by_script import EncoderByScript
from kgen.text.feature_standardization import FeatureStandardization
from kgen.text.prompt_cleaner import PromptCleaner, clean_prompt, clean_prompts
from kgen.text.prompt_expander import PromptExpander
from kgen.text.text_encoder import TextEncoder

__all__ = [
    "CaptionBatches",
    "CaptionFeatures",
    "CaptionTokens",
    "EncoderByScript",
    "FeatureStandardization",
    "PromptCleaner",
    "PromptExpander",
    "TextEncoder",
    "attach_features",
    "clean_prompt",
    "clean_prompts",
    "encoder_from_captions",
]
