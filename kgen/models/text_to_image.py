"""From a caption to a picture in one forward pass."""

from __future__ import annotations

import dataclasses
import functools
import inspect

import keras
import numpy as np
from keras import ops

from kgen.models import pixels
from kgen.models.captioned_model import CaptionedModel
from kgen.models.drawing_model import DrawingModel, seeds_and_indices
from kgen.models.generative_model import GenerativeModel
from kgen.models.matching import Matching
from kgen.models.text_conditioned import generative_model_for_text
from kgen.text import clean_prompts
from kgen.training import image_noise


@keras.saving.register_keras_serializable(package="kgen")
class TextToImage(CaptionedModel, DrawingModel):
    """A text encoder in front of a GAN or a VAE: `fit` on captioned pictures, `generate` from prompts.

    A frozen text encoder's features are computed once per caption and kept; a trainable one learns with the
    generator. Both its pooled and its token features reach the generator, standardized over the training captions.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or whatever `TextEncoder.of` takes: a KerasHub `TextEmbedder`, a
            `(backbone, preprocessor)` pair, a preset's name, a directory. `kgen.text.encoder_from_captions` makes one
            that needs no download.
        image_shape: `(height, width, channels)` of the pictures.
        generative_model: "vae", "gan", "vae_gan" (a VAE whose pictures a text-aware discriminator judges too), or a
            `kgen.models.GAN` or `VAE` whose networks take `pooled`, `tokens` and `mask`.
        latent_dim: length of a latent vector, where `generative_model` is a name.
        caption_dropout: share of training captions that are withheld, so that the model also learns pictures without
            a caption, which `guidance_scale` needs. In [0, 1).
        sequence_length: tokens to a caption; longer ones are cut. None: the encoder's own, at most 32.
        seed: integer or None; where training's random numbers begin.

    Raises:
        TypeError: if there is no text encoder in `text_encoder`.
        ValueError: if an argument is out of range, or the generative model makes pictures of another shape.

    Example:

    ```python
    data = kgen.data.captioned_folder("my_pictures", image_size=64)
    model = kgen.models.TextToImage("all_minilm_l6_v2_en", image_shape=data.image_shape)
    model.compile()
    model.fit(data, epochs=50)
    model.generate("a red apple", seed=0)          # uint8 (64, 64, 3)
    ```
    """

    # A caption says which picture is meant.
    draws_pairs = True

    def __init__(
        self,
        text_encoder,
        image_shape=(64, 64, 3),
        generative_model="vae",
        latent_dim=8,
        caption_dropout=0.05,
        sequence_length=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(text_encoder, image_shape, sequence_length, seed, **kwargs)
        if not 0.0 <= caption_dropout < 1.0:
            raise ValueError(f"TextToImage: caption_dropout must be in [0, 1); got {caption_dropout}.")
        if isinstance(generative_model, str):
            encoder = self.text_encoder
            generative_model = generative_model_for_text(
                generative_model, self.image_shape, encoder.pooled_dim, encoder.token_dim, latent_dim, seed
            )
        if not isinstance(generative_model, GenerativeModel):
            raise TypeError(
                "TextToImage: generative_model must be 'vae', 'gan', 'vae_gan', a kgen.models.GAN or a VAE; got "
                f"{type(generative_model).__name__}."
            )
        if generative_model.image_shape != self.image_shape:
            raise ValueError(
                f"TextToImage: image_shape is {self.image_shape}, but the generative model makes pictures of shape "
                f"{generative_model.image_shape}."
            )
        self.caption_dropout = caption_dropout
        self.generative_model = generative_model
        self.matching = None
        self.built = True

    @property
    def latent_dim(self):
        """Length of a latent vector."""
        return self.generative_model.latent_dim

    @property
    def trained(self):
        """Whether any training step was made."""
        return self.generative_model.trained

    # === Training ===
    def compile(self, optimizer="auto", matching=None, matching_weight=1.0, **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto", one optimizer, or a dict by phase, as of the generative model.
            matching: a trained `DualEncoder` with this model's text encoder: the generator is also to draw what that
                one finds to fit the caption; see `kgen.models.matching`.
            matching_weight: of that term.
            **kwargs: what the generative model's `compile` takes: for a GAN `loss` and `penalties`, for a VAE `beta`,
                `free_nats` and, where it has a discriminator, `adversarial_weight` too; for all `metrics`, measures of
                `kgen.metrics` of pictures drawn from the captions of the real ones, and `run_eagerly`,
                `steps_per_execution` and `jit_compile`.
        """
        names = inspect.signature(self.generative_model.choose_losses).parameters
        self.generative_model.choose_losses(**{name: kwargs.pop(name) for name in names if name in kwargs})
        self.matching = None if matching is None else Matching(matching, matching_weight, self)
        super().compile(optimizer, **kwargs)

    def default_optimizer(self, phase):
        """The generative model's choice, with gradients of at most unit norm."""
        optimizer = self.generative_model.default_optimizer(phase)
        optimizer.global_clipnorm = 1.0
        return optimizer

    def phases(self):
        """The generative model's phases; the one that trains the generator also trains a trainable text encoder."""
        phases = []
        for phase in self.generative_model.phases():
            generates = phase.name == self.generative_model.generating_phase
            variables = [*phase.variables, *(self.text_encoder.trainable_variables if generates else ())]
            loss = functools.partial(self._conditioned, phase.loss)
            phase = dataclasses.replace(phase, loss=loss, variables=variables)
            phases.append(self.matching.joined(phase, self) if generates and self.matching else phase)
        return phases

    def _conditioned(self, loss, batch, training):
        features = {key: value for key, value in batch.items() if key != "images"}
        return loss({"images": batch["images"], **self.condition(features, training)}, training)

    def condition(self, features, training=False):
        """What the generator is given: standardized features; in training some captions are withheld.

        Args:
            features: dict of `pooled`, `tokens` and `mask`, or of the text encoder's own inputs.
        """
        condition = self.encoded(features, training)
        if not training or not self.caption_dropout:
            return condition
        pooled, tokens = condition["pooled"], condition["tokens"]
        kept = keras.random.uniform((ops.shape(pooled)[0], 1), seed=self.seeds(training)) >= self.caption_dropout
        return {
            "pooled": pooled * ops.cast(kept, pooled.dtype),
            "tokens": tokens * ops.cast(kept, tokens.dtype)[..., None],
            "mask": ops.logical_and(condition["mask"], kept),
        }

    def counterparts(self, batch, paired):
        features = {key: value for key, value in batch.items() if key != "images"}
        latents = self.generative_model.noise(batch["images"], training=False)
        return self.generative_model.synthesize(latents, self.condition(features))

    def after_step(self):
        """Updates the averaged generator."""
        self.generative_model.after_step()

    # === What comes out ===
    def draw(self, inputs):
        """uint8 images from `seeds`, `indices` and text features `(N, ...)`; with `guidance` `(N,)`, guided."""
        features = {key: value for key, value in inputs.items() if key not in ("seeds", "indices", "guidance")}
        condition = self.condition(features)
        latents = image_noise(inputs["seeds"], inputs["indices"], self.latent_dim)
        images = self.generative_model.synthesize(latents, condition)
        if "guidance" in inputs:
            nothing = {key: ops.zeros_like(value) for key, value in condition.items()}
            without = self.generative_model.synthesize(latents, nothing)
            images = without + ops.reshape(inputs["guidance"], (-1, 1, 1, 1)) * (images - without)
        return pixels.to_uint8(images)

    def call(self, inputs):
        """uint8 images; what `draw` gives."""
        return self.draw(inputs)

    def generate(self, prompts, num_images=1, guidance_scale=None, seed=None, batch_size=64, verbose="auto"):
        """Generates pictures from prompts, with the averaged weights.

        Args:
            prompts: a string, or a list of strings.
            num_images: pictures for each prompt.
            guidance_scale: how far to go from what the model draws without a caption towards what it draws with it;
                above 1 exaggerates the caption. None or 1 costs one pass, others two. Needs `caption_dropout` > 0.
            seed: an integer, or one for each prompt; 0 is a seed like others. The same prompt and seed give the same
                picture, alone or in a batch of any size, on every backend. None draws one.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array: `(H, W, C)` for one string and one image, else `(prompts * num_images, H, W, C)`, the images
            of a prompt next to each other.

        Raises:
            TypeError: if a prompt is no string.
            ValueError: if there is no prompt, or an empty one; or another argument is out of range.
        """
        single = isinstance(prompts, str)
        prompts = clean_prompts([prompts] if single else prompts, "TextToImage.generate")
        if isinstance(num_images, bool) or not isinstance(num_images, int) or num_images < 1:
            raise ValueError(f"TextToImage.generate: num_images must be at least 1; got {num_images!r}.")
        if guidance_scale is not None and not self.caption_dropout:
            raise ValueError("TextToImage.generate: guidance_scale needs a model trained with caption_dropout > 0.")
        seeds, indices = seeds_and_indices("TextToImage", seed, len(prompts), num_images)
        different = list(dict.fromkeys(prompts))
        features = self.text_encoder.encode(different, batch_size=batch_size, verbose=verbose)
        rows = np.repeat([different.index(prompt) for prompt in prompts], num_images)
        inputs = {"seeds": seeds, "indices": indices, **{key: value[rows] for key, value in features.items()}}
        if guidance_scale not in (None, 1, 1.0):
            inputs["guidance"] = np.full(len(rows), guidance_scale, "float32")
        images = self.generate_from(inputs, batch_size, verbose)
        return images[0] if single and num_images == 1 else images

    # === As a SavedModel ===
    def served_layers(self):
        """The text encoder with its tokenizer, the standards of its features, the averaged generator."""
        return [
            self.text_encoder,
            self.text_encoder.preprocessor,
            self.standardize_pooled,
            self.standardize_tokens,
            *self.generative_model.served_layers(),
        ]

    def serving_signature(self):
        """`prompts`, strings `(N,)`, and `seed`, an int32 scalar."""
        import tensorflow as tf

        return [tf.TensorSpec([None], tf.string, name="prompts"), tf.TensorSpec([], tf.int32, name="seed")]

    def serve(self, prompts, seed):
        """`{"images"}`: what `generate(prompts, seed=seed)` gives. Load it after `import tensorflow_text`."""
        features = self.text_encoder(self.text_encoder.preprocess(prompts))
        indices = ops.arange(ops.shape(prompts)[0], dtype="int32")
        seeds = ops.zeros_like(indices) + seed
        return {"images": self.draw({"seeds": seeds, "indices": indices, **features})}

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "generative_model": keras.saving.serialize_keras_object(self.generative_model),
            "caption_dropout": self.caption_dropout,
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            key: keras.saving.deserialize_keras_object(config[key]) for key in ("text_encoder", "generative_model")
        }
        return cls(**{**config, **parts})

    def get_compile_config(self):
        if not self.compiled:
            return {}
        if self.matching:
            self.matching.warn_of_saving()
        return {**super().get_compile_config(), **self.generative_model.losses_config()}
