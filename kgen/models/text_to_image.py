"""From a caption to a picture in one forward pass."""

from __future__ import annotations

import dataclasses
import functools
import inspect

import keras
import numpy as np
from keras import ops

from kgen.models import pixels
from kgen.models.caption_intake import CaptionIntake, as_dicts, caption_lists
from kgen.models.drawing_model import DrawingModel, seeds_and_indices
from kgen.models.generative_model import GenerativeModel
from kgen.models.text_conditioned import generative_model_for_text
from kgen.text import CaptionBatches, FeatureStandardization, TextEncoder, clean_prompts
from kgen.training import image_noise


@keras.saving.register_keras_serializable(package="kgen")
class TextToImage(DrawingModel):
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
        super().__init__(seed=seed, **kwargs)
        if not 0.0 <= caption_dropout < 1.0:
            raise ValueError(f"TextToImage: caption_dropout must be in [0, 1); got {caption_dropout}.")
        encoder = TextEncoder.of(text_encoder, sequence_length)
        if isinstance(generative_model, str):
            generative_model = generative_model_for_text(
                generative_model, tuple(image_shape), encoder.pooled_dim, encoder.token_dim, latent_dim, seed
            )
        if not isinstance(generative_model, GenerativeModel):
            raise TypeError(
                "TextToImage: generative_model must be 'vae', 'gan', 'vae_gan', a kgen.models.GAN or a VAE; got "
                f"{type(generative_model).__name__}."
            )
        if generative_model.image_shape != tuple(image_shape):
            raise ValueError(
                f"TextToImage: image_shape is {tuple(image_shape)}, but the generative model makes pictures of shape "
                f"{generative_model.image_shape}."
            )
        self.image_shape = tuple(image_shape)
        self.caption_dropout = caption_dropout
        # === Layers ===
        self.text_encoder = encoder
        self.generative_model = generative_model
        self.standardize_pooled = FeatureStandardization(name="standardize_pooled")
        self.standardize_tokens = FeatureStandardization(name="standardize_tokens")
        self.standardize_pooled.build((None, encoder.pooled_dim))
        self.standardize_tokens.build((None, None, encoder.token_dim))
        self._intake = CaptionIntake(encoder, self.standardize_pooled, self.standardize_tokens)
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
    def compile(self, optimizer="auto", **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto", one optimizer, or a dict by phase, as of the generative model.
            **kwargs: what the generative model's `compile` takes: for a GAN `loss` and `penalties`, for a VAE `beta`,
                `free_nats` and, where it has a discriminator, `adversarial_weight` too; for all `metrics`, measures of
                `kgen.metrics` of pictures drawn from the captions of the real ones, and `run_eagerly`,
                `steps_per_execution` and `jit_compile`.
        """
        names = inspect.signature(self.generative_model.choose_losses).parameters
        self.generative_model.choose_losses(**{name: kwargs.pop(name) for name in names if name in kwargs})
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
            variables = list(phase.variables)
            if phase.name == self.generative_model.generating_phase:
                variables += self.text_encoder.trainable_variables
            loss = functools.partial(self._conditioned, phase.loss)
            phases.append(dataclasses.replace(phase, loss=loss, variables=variables))
        return phases

    def _conditioned(self, loss, batch, training):
        features = {key: value for key, value in batch.items() if key != "images"}
        return loss({"images": batch["images"], **self.condition(features, training)}, training)

    def prepare(self, x, y=None):
        """The batch that losses see: images in [-1, 1] with features or tokens of their captions."""
        return {**x, "images": self.to_network(x["images"])}

    def condition(self, features, training=False):
        """What the generator is given: standardized features; in training some captions are withheld.

        Args:
            features: dict of `pooled`, `tokens` and `mask`, or of the text encoder's own inputs.
        """
        if "token_ids" in features:
            features = self.text_encoder(features, training=training)
        pooled = self.standardize_pooled(features["pooled"])
        mask = ops.cast(features["mask"], "bool")
        tokens = self.standardize_tokens(features["tokens"])
        if training and self.caption_dropout:
            kept = keras.random.uniform((ops.shape(pooled)[0], 1), seed=self.seeds(training)) >= self.caption_dropout
            pooled = pooled * ops.cast(kept, pooled.dtype)
            mask = ops.logical_and(mask, kept)
        return {"pooled": pooled, "tokens": tokens * ops.cast(mask, tokens.dtype)[..., None], "mask": mask}

    def counterparts(self, batch, paired):
        features = {key: value for key, value in batch.items() if key != "images"}
        latents = self.generative_model.noise(batch["images"], training=False)
        return self.generative_model.synthesize(latents, self.condition(features))

    def after_step(self):
        """Updates the averaged generator."""
        self.generative_model.after_step()

    # === What comes in ===
    def fit(
        self,
        x=None,
        y=None,
        *,
        batch_size=None,
        validation_data=None,
        shuffle=True,
        caption_cache=None,
        **kwargs,
    ):
        """Trains on captioned pictures.

        Args:
            x: what `kgen.data` loads; or pictures `(N, H, W, C)` with `y` their captions; or a dict of `images` and
                `captions`; or a `tf.data.Dataset` of batches of such dicts; or either with features computed before
                (`images`, `pooled`, `tokens`, `mask`).
            y: N captions, each a string or a list of strings of which every epoch draws one.
            batch_size: pictures a step; 32 by default. A dataset has its own.
            validation_data: like `x`, or `(x, y)`.
            shuffle: whether to shuffle arrays anew each epoch.
            caption_cache: directory to keep caption features in, for sets too large for memory.
            **kwargs: as of `keras.Model.fit`.

        Raises:
            TypeError: if a caption is no string, or pictures are no array of uint8 or float.
            ValueError: if there are fewer captions than pictures, or pictures of another shape or range.
        """
        data, batched = self._training_data(x, y, batch_size, shuffle, caption_cache)
        if validation_data is not None:
            others = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
            validation_data = self._training_data(*others, batch_size, False, caption_cache)[0]
        if batched:
            shuffle, batch_size = False, None
        return super().fit(data, validation_data=validation_data, batch_size=batch_size, shuffle=shuffle, **kwargs)

    def evaluate(self, x=None, y=None, *, batch_size=None, **kwargs):
        """The losses on captioned pictures, with nothing trained; `x` and `y` as for `fit`."""
        if "_use_cached_eval_dataset" not in kwargs:
            x, batched = self._training_data(x, y, batch_size, False, None)
            batch_size = None if batched else batch_size
        return super().evaluate(x, batch_size=batch_size, **kwargs)

    def train_on_batch(self, x, y=None, **kwargs):
        """One training step on captioned pictures; `x` and `y` as for `fit`, arrays only."""
        return super().train_on_batch(self._one_batch(x, y), **kwargs)

    def test_on_batch(self, x, y=None, **kwargs):
        """The losses on one batch of captioned pictures."""
        return super().test_on_batch(self._one_batch(x, y), **kwargs)

    def _one_batch(self, x, y):
        data, batched = self._training_data(x, y, len(x["images"] if isinstance(x, dict) else x), False, None)
        return data[0] if batched else data

    def _training_data(self, x, y, batch_size, shuffle, cache):
        """`(what keras.Model.fit is given, whether it is in batches)`."""
        if hasattr(x, "captions") and hasattr(x, "images"):
            x, y = x.images, x.captions
        if isinstance(x, dict) and "captions" in x:
            x, y = x["images"], x["captions"]
        if hasattr(x, "element_spec"):
            x = as_dicts(x)
            self.examine(x)
            return self._intake.dataset(x, cache), True
        if isinstance(x, dict) or isinstance(x, keras.utils.PyDataset):
            self.examine(x)
            return x, isinstance(x, keras.utils.PyDataset)
        pixels.pixel_range("TextToImage", x, self.image_shape)
        captions = caption_lists(x, y)
        table = self._intake.table([caption for each in captions for caption in each], cache)
        return CaptionBatches(x, captions, table, batch_size or 32, shuffle, self.seed or 0, self._steps_done), True

    @staticmethod
    def _look_at(x, y):
        # All pictures, not the first batch: it may lack the negative values that tell [-1, 1] from [0, 1].
        return (x.images, {}) if isinstance(x, CaptionBatches) else DrawingModel._look_at(x, y)

    def _steps_done(self):
        return int(ops.convert_to_numpy(self.optimizer.iterations)) if self.compiled else 0

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
            "text_encoder": keras.saving.serialize_keras_object(self.text_encoder),
            "image_shape": self.image_shape,
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
        return {**super().get_compile_config(), **self.generative_model.losses_config()} if self.compiled else {}
