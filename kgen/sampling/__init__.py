"""How models generate: latents, priors learned after training, post-processing, tiles, metrics of samples."""

from kgen.sampling.latent_prior import LatentPrior
from kgen.sampling.prompt_sampler import PromptSampler
from kgen.sampling.renew_code_words import renew_code_words
from kgen.sampling.sample_metrics import SampleMetrics
from kgen.sampling.sampler import Sampler
from kgen.sampling.text_prior import TextPrior
from kgen.sampling.tiles import Tiles

__all__ = ["LatentPrior", "PromptSampler", "SampleMetrics", "Sampler", "TextPrior", "Tiles", "renew_code_words"]
