"""From a caption to a picture in one forward pass."""

from __future__ import annotations

import dataclasses
import functools
import inspect

import keras
import numpy as np
from keras import ops

from kgen.models.captioned_model import CaptionedModel
from kgen.models.generative_model import GenerativeModel
from kgen.models.latent_model import LatentModel
from kgen.models.matching import Matching
from kgen.models.network_inputs import condition_names, parted
from kgen.models.prompted_model import PromptedModel
from kgen.models.text_conditioned import generative_model_for_text
from kgen.models.text_prior import TextPrior
from kgen.text import CaptionBatches, PromptCleaner, PromptExpander, TextEncoder
from kgen.training import backend


@keras.saving.register_keras_serializable(package="kgen")
class TextToImage(CaptionedModel, PromptedModel):
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
        prompt_cleaner: a `kgen.text.PromptCleaner` for captions and prompts alike; None: white space and spelling only.
        prompt_expander: a `kgen.text.PromptExpander`, or what one takes: a language model that makes descriptions of
            the prompts of `generate` and `walk`. A SavedModel cannot run it, and draws prompts as they are given; what
            it is to expand is expanded before: `model.prompt_expander.expand(prompts)`.
        memory: a `kgen.layers.FeatureMemory` that draws prompts towards what is known, or None; see `remember`.
        **kwargs: `postprocessing`, layers for what `generate` gives, as of `DrawingModel`; `name`, `dtype`.

    Raises:
        TypeError: if there is no text encoder in `text_encoder`, or another part is of another kind.
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
        prompt_cleaner=None,
        prompt_expander=None,
        memory=None,
        **kwargs,
    ):
        if not isinstance(prompt_cleaner, (PromptCleaner, type(None))):
            raise TypeError(
                f"TextToImage: prompt_cleaner must be a PromptCleaner or None; got {type(prompt_cleaner).__name__}."
            )
        super().__init__(text_encoder, image_shape, sequence_length, seed, prompt_cleaner, **kwargs)
        if not 0.0 <= caption_dropout < 1.0:
            raise ValueError(f"TextToImage: caption_dropout must be in [0, 1); got {caption_dropout}.")
        encoder = self.text_encoder
        if isinstance(generative_model, str):
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
        if prompt_expander is not None and not isinstance(prompt_expander, PromptExpander):
            prompt_expander = PromptExpander(prompt_expander)
        self.caption_dropout = caption_dropout
        self.generative_model = generative_model
        self.matching = None
        self.prompt_cleaner = prompt_cleaner
        self.prompt_expander = prompt_expander
        self.memory = memory
        if memory is not None and not memory.built:
            memory.build((None, encoder.pooled_dim))
        self.read_prompts_by(encoder)
        self.built = True

    @property
    def latent_dim(self):
        """Length of a latent vector."""
        return self.generative_model.latent_dim

    @property
    def trained(self):
        """Whether any training step was made."""
        return self.generative_model.trained

    def with_text_encoder(self, text_encoder):
        """This model with another text encoder before the same generator, whose weights the two share.

        The pooled features of both must mean the same, as those of an encoder and of another that was trained to give
        its features: the standards of the features are kept, and so is what is remembered. A generator or a learned
        prior that reads tokens needs the same of them.

        Args:
            text_encoder: as of the constructor.

        Returns:
            A `TextToImage`, not compiled.

        Raises:
            ValueError: if its features have another length than those that the generator reads.

        Example:

        ```python
        model = kgen.models.TextToImage.from_preset("openmoji_64").with_text_encoder("all_minilm_l6_v2_en")
        ```
        """
        encoder, own = TextEncoder.of(text_encoder), self.text_encoder
        reads = condition_names(self.generative_model.average.network, ("pooled", "tokens"))
        if isinstance(getattr(self.generative_model, "prior", None), TextPrior):
            reads.add("tokens")
        for name, given, wanted in (
            ("pooled", encoder.pooled_dim, own.pooled_dim),
            ("tokens", encoder.token_dim, own.token_dim),
        ):
            if name in reads and given != wanted:
                raise ValueError(
                    f"TextToImage.with_text_encoder: the generator reads '{name}' of length {wanted}; this text "
                    f"encoder gives {given}."
                )
        arguments = {
            name: getattr(self, name)
            for name in ("caption_dropout", "seed", "prompt_cleaner", "prompt_expander", "memory")
        }
        model = type(self)(
            encoder, self.image_shape, self.generative_model, postprocessing=self.postprocessing, **arguments
        )
        model.standardize_pooled.set_weights(self.standardize_pooled.get_weights())
        if encoder.token_dim == own.token_dim:
            model.standardize_tokens.set_weights(self.standardize_tokens.get_weights())
        model.float_range = self.float_range
        return model

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
        condition = self.condition(features)
        latents = self.generative_model.prior_draws(batch["images"], condition)
        return self.generative_model.synthesize(latents, condition)

    def after_step(self):
        """Updates the averaged generator."""
        self.generative_model.after_step()

    # === A learned prior ===
    def fit_prior(
        self,
        x=None,
        y=None,
        components=32,
        steps=6000,
        seed=0,
        batch_size=64,
        caption_cache=None,
        verbose="auto",
    ):
        """Learns where the latents of a caption's pictures are, for `generate` to draw from there.

        Given a caption, latents are seldom spread as the standard normal prior says; in between them the decoder draws
        what it never saw. After training, a mixture of normal distributions whose weights, means and deviations a
        small network reads from the caption's tokens, a mixture density network [Bishop 1994], is fitted to draws from
        q(z|x, c), where c is a picture's first caption; the network learns to read them all. It is saved with the model
        and is in presets and in what `export` writes. Training anew drops it.

        Args:
            x, y: captioned pictures as of `fit`, but no `tf.data.Dataset`: what the model was trained on, or a good
                part of it; 20 pictures at least.
            components: normal distributions in the mixture.
            steps: of 64 pictures each.
            seed: an integer; of the draws, and of where the search begins.
            batch_size: pictures encoded at once.
            caption_cache: as of `fit`.
            verbose: 0: silent; 1: progress bars; "auto": bars on long work.

        Returns:
            By how many nats a picture the mixture is nearer to the latents than the standard normal prior, on a tenth
            of the pictures that it was not fitted to.

        Raises:
            TypeError, ValueError: for a generative model without an encoder, what is no captioned pictures, or numbers
                out of range.
        """
        owner, vae = "TextToImage.fit_prior", self.generative_model
        if not isinstance(vae, LatentModel):
            raise TypeError(f"{owner}: a VAE finds the latents of pictures; this model is of a {type(vae).__name__}.")
        if self.text_encoder.trainable:
            raise ValueError(f"{owner}: it reads features of a frozen text encoder; this one is trainable.")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"{owner}: seed must be an integer; got {seed!r}.")
        batches = self._training_data(x, y, batch_size, False, caption_cache)[0]
        if not isinstance(batches, CaptionBatches):
            raise TypeError(f"{owner}: give pictures and captions as arrays and lists, or what kgen.data loads.")
        self.find_range(batches.images, some_of_many=True, owner=owner)
        show = verbose if verbose != "auto" else len(batches.images) > 1000
        bar = keras.utils.Progbar(len(batches), verbose=int(show), unit_name="batch")
        posterior, rows = backend.compiled(self._posterior, lambda: self.variables), []
        for number in range(len(batches)):
            rows.append(posterior(batches[number]))
            bar.update(number + 1)
        moments = np.concatenate(rows)
        prior = TextPrior.fit(owner, batches, self.encoded, moments, components, steps, seed, show)
        vae.take_prior(prior)
        return prior.gain

    def _posterior(self, batch):
        """Means and log-variances of the latents of pictures, side by side."""
        images, features = parted(batch)
        found = self.generative_model.infer(self.to_network(images), self.condition(features), averaged=True)
        return ops.concatenate(found[:2], axis=-1)

    def compiled_constant(self):
        """The learned prior of the generative model."""
        return self.generative_model.compiled_constant()

    def make_train_function(self, force=False):
        """Drops a learned prior."""
        if isinstance(self.generative_model, LatentModel):
            self.generative_model.drop_prior()
        return super().make_train_function(force)

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "generative_model": keras.saving.serialize_keras_object(self.generative_model),
            "caption_dropout": self.caption_dropout,
            "prompt_cleaner": keras.saving.serialize_keras_object(self.prompt_cleaner),
            "prompt_expander": keras.saving.serialize_keras_object(self.prompt_expander),
            "memory": keras.saving.serialize_keras_object(self.memory),
        }

    @classmethod
    def from_config(cls, config):
        keys = ("text_encoder", "generative_model", "prompt_cleaner", "prompt_expander", "memory")
        # Models that were saved before there were the last three have none.
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in keys if config.get(key) is not None}
        return cls(**{**config, **parts})

    def get_compile_config(self):
        if not self.compiled:
            return {}
        if self.matching:
            self.matching.warn_of_saving()
        return {**super().get_compile_config(), **self.generative_model.losses_config()}
