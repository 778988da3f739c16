"""From prompts to images: guidance, walks between prompts, and remembered captions."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs.prompt_input import PromptInput
from kgen.layers import FeatureMemory
from kgen.networks.interface import condition_names
from kgen.sampling.latents import seeds_and_indices, truncation_inputs
from kgen.sampling.prompt_walk import walk_inputs
from kgen.sampling.sampler import Sampler
from kgen.sampling.text_prior import TextPrior
from kgen.types import Array, Tensor, Verbose

# Guidance scale with negative prompts, if none is given. Measured in docs/measured.
_GUIDANCE = 3.0
# Another caption of an image replaces a caption if its error is below this share of that caption's error.
_CLEARLY_BETTER = 0.33
# In grey levels; see `variety`.
_LEAST_VARIETY = 2.0


class PromptSampler(Sampler):
    """How a text-to-image model generates.

    Besides what a `Sampler` needs, the model has `text_encoder`, `prompt_cleaner`, `prompt_expander`, `memory` and
    `condition(features)`, which gives the generator's inputs for text features.

    Args:
        model: the model that generates.

    Example:

    ```python
    model.sampler.prompts.read(["A red  apple"], "example")         # ["A red apple"], as the encoder reads it
    ```
    """

    def __init__(self, model: Any):
        super().__init__(model)
        # Whether the user has been warned that seeds change nothing.
        self._told = False
        self.prompts = PromptInput(model.text_encoder, model.prompt_cleaner, model.prompt_expander, model.memory)

    # === Graphs, row by row ===
    def condition(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the generator is given for the text features among the inputs of a graph."""
        return self.model.condition(super().condition(inputs))

    def draw_prompts(self, inputs: dict[str, Tensor]) -> Tensor:
        """`draw`, after pulling the features towards remembered captions."""
        return self.draw(self.prompts.remembered(inputs))

    # === What a user asks for ===
    def generate_from_prompts(
        self,
        prompts: Any,
        num_images: int,
        guidance_scale: float | None,
        seed: Any,
        batch_size: int,
        verbose: Verbose,
        negative_prompts: Any,
        truncation: float | None,
        return_prompts: bool,
    ) -> Any:
        """Implements `TextToImage.generate`; see there."""
        owner, single = f"{self.owner}.generate", isinstance(prompts, str)
        texts = self.prompts.read([prompts] if single else prompts, owner)
        num_images = checks.integer(owner, "num_images", num_images)
        guidance = self._checked_guidance(owner, guidance_scale, negative_prompts)
        seeds, indices = seeds_and_indices(owner, seed, len(texts), num_images)
        inputs = self._asked(texts, negative_prompts, guidance, num_images, batch_size, verbose)
        inputs |= {"seeds": seeds, "indices": indices, **truncation_inputs(owner, truncation, len(seeds))}
        images = self.run(inputs, batch_size, verbose, self.draw_prompts)
        of_one = images[:num_images]
        if num_images > 1 and truncation is None and not self._told and _variety(of_one) < _LEAST_VARIETY:
            self._told = True
            warnings.warn(
                f"{owner}: seeds and truncation change almost nothing, because this model has learned from captions "
                f"that leave nothing to its latents. {texts[0]!r} always draws nearly the same image.",
                stacklevel=3,
            )
        images = images[0] if single and num_images == 1 else images
        return (images, texts[0] if single else texts) if return_prompts else images

    def _checked_guidance(self, owner, scale, negative_prompts):
        """The guidance scale; 1 for no guidance."""
        if scale is None and negative_prompts is None:
            return 1.0
        if self.model.memory is None:
            raise ValueError(
                f"{owner}: guidance_scale and negative_prompts choose among the captions that a model remembers, but "
                "this one remembers none. Call remember(captions) first. Guidance of images is not offered, because it "
                "would only raise the contrast of what this model has learned."
            )
        scale = _GUIDANCE if scale is None else checks.number(owner, "guidance_scale", scale, least=0.0)
        if negative_prompts is not None and scale <= 1:
            raise ValueError(
                f"{owner}: guidance_scale must be above 1 with negative_prompts, or left out; got {scale!r}. Guidance "
                "moves away from them."
            )
        return scale

    def variety(self, prompt: str) -> float:
        """By how many grey levels the images of a prompt vary with the seed: the mean deviation over the pixels.

        Below two, seeds and truncation change almost nothing: the captions said everything about the training images.
        """
        inputs = self._asked(self.prompts.read([prompt], self.owner, expand=False), images_each=8, verbose=0)
        numbers = np.arange(8, dtype="int32")
        inputs |= {"seeds": numbers, "indices": 0 * numbers}
        return _variety(self.run(inputs, verbose=0, function=self.draw_prompts))

    def _asked(self, *args, **kwargs):
        """Features of texts; token features only if something reads them."""
        read = condition_names(self.model.generator, {"tokens": None})
        tokens = bool({"tokens", "mask"} & read) or isinstance(self.prior, TextPrior)
        return self.prompts.features(*args, **kwargs, tokens=tokens)

    def walk(self, prompts: Any, steps: int, seed: Any, batch_size: int, verbose: Verbose) -> Array:
        """Implements `TextToImage.walk`; see there."""
        owner = f"{self.owner}.walk"
        texts = self.prompts.read(prompts, owner)
        if len(texts) < 2:
            raise ValueError(f"{owner}: give at least two prompts to walk between; got {texts}.")
        steps = checks.integer(owner, "steps", steps)
        seeds, indices = seeds_and_indices(owner, seed, len(texts))
        features = self.prompts.remembered(self.prompts.features(texts, batch_size=batch_size, verbose=verbose))
        features = {name: ops.convert_to_numpy(values) for name, values in features.items()}
        latents = self.latents({"seeds": seeds, "indices": indices}, self.model.condition(features))
        on_sphere = self.model.text_encoder.normalize
        return self.run(walk_inputs(features, ops.convert_to_numpy(latents), steps, on_sphere), batch_size, verbose)

    def memory_of(self, captions: Any, images: Any, sharpness: float, verbose: Verbose) -> FeatureMemory | None:
        """A `FeatureMemory` of captions; None for None. See `TextToImage.remember`."""
        owner = f"{self.owner}.remember"
        if captions is None:
            return None
        if self.model.text_encoder.trainable:
            raise ValueError(
                f"{owner}: the text encoder must be frozen; training would change the remembered features."
            )
        captions = [captions] if isinstance(captions, str) else list(captions)
        captions = [list(each) if isinstance(each, (list, tuple)) else [each] for each in captions]
        read = self.prompts.read([text for each in captions for text in each], owner, expand=False)
        # If several images have the same caption, the first image counts.
        image_of: dict[str, int] = {}
        for text, image in zip(read, np.repeat(np.arange(len(captions)), [len(each) for each in captions])):
            image_of.setdefault(text, int(image))
        texts = list(image_of)
        features = self.prompts.encoder.encode(texts, verbose=verbose)
        stands_for = None
        if images is not None:
            images = np.asarray(images)
            if images.shape != (len(captions), *self.image_shape) or images.dtype != np.uint8:
                wanted = (len(captions), *self.image_shape)
                raise ValueError(
                    f"{owner}: images must be uint8 of shape {wanted}, one for each entry of captions; got "
                    f"{images.dtype} of shape {images.shape}."
                )
            stands_for = self._best_of_each(features, images, list(image_of.values()), verbose)
        memory = FeatureMemory(len(texts), sharpness, texts, stands_for, dtype="float32", name="memory")
        memory.build(features["pooled"].shape)
        memory.known.assign(features["pooled"])
        return memory

    def _best_of_each(self, features, images, image_of, verbose):
        """For each text its number, or that of another text of the same image that draws it best, if clearly better."""
        numbers = np.zeros(len(image_of), "int32")
        drawn = self.run({**features, "seeds": numbers, "indices": numbers}, verbose=verbose)
        errors = [float(np.mean(np.square(one.astype("float32") - images[i]))) for one, i in zip(drawn, image_of)]
        best: dict[int, int] = {}
        for number, image in enumerate(image_of):
            best[image] = min(best.get(image, number), number, key=errors.__getitem__)
        # A small gain is not enough: of two nearly equal images, a blurred blend may have the smaller error.
        gains = [errors[best[image]] < _CLEARLY_BETTER * error for image, error in zip(image_of, errors)]
        return [best[image] if gain else number for number, (image, gain) in enumerate(zip(image_of, gains))]

    def before_training(self) -> None:
        """As in `Sampler`; also drops a memory that would replace the new captions by those that it knows."""
        super().before_training()
        model, captions = self.model, self.model.image_input.learned
        if model.memory is None:
            return
        new = [] if captions is None else sorted(set(captions) - set(model.memory.names or ()))
        if not new and not model.text_encoder.trainable:
            return
        why = f"learns other captions, such as {new[0]!r}" if new else "trains the text encoder"
        warnings.warn(
            f"{self.owner}: this training {why}, so the memory of {model.memory.size} captions is dropped. Call "
            "remember(captions) after training.",
            stacklevel=4,
        )
        model.remember(None)

    def constants(self) -> list:
        """As in `Sampler`, plus the memory, which `remember` replaces."""
        return [*super().constants(), self.model.memory]

    # === In a SavedModel ===
    def served_layers(self) -> list:
        """The text encoder with its tokenizer, the standards of its features, the averaged generator."""
        model = self.model
        layers = [*model.text_encoder.served_layers(), model.memory]
        layers += [model.standardize_pooled, model.standardize_tokens, model.average, *self.other_layers()]
        return [layer for layer in layers if layer is not None]

    def serving_signature(self) -> list:
        """`seeds`, int32 `(N,)`, and `prompts`, strings `(N,)`."""
        return [keras.InputSpec("int32", (None,), name="seeds"), keras.InputSpec("string", (None,), name="prompts")]

    def serve(self, seeds: Tensor, asked: Tensor | None = None) -> dict[str, Tensor]:
        """`{"images"}`, as from `generate(asked, seed=seeds)`, but without the prompt expander."""
        model = self.model
        if model.prompt_cleaner is not None:
            asked = model.prompt_cleaner.clean_tensor(asked)
        features = model.text_encoder(model.text_encoder.preprocess(asked))
        return {"images": self.draw_prompts({"seeds": seeds, "indices": ops.zeros_like(seeds), **features})}

    # === In a file of another format ===
    def tensor_signature(self) -> dict[str, keras.InputSpec]:
        """The tokens of prompts, int32 `(N, sequence_length)`, and the inputs of a `Sampler`."""
        return {**self.model.text_encoder.token_signature(), **super().tensor_signature()}

    def serve_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"images"}`, as from `generate`, for prompts with these tokens, from these standard normal numbers."""
        features = self.prompts.remembered(self.model.text_encoder.from_tokens(inputs))
        return {"images": self._from_normal(inputs, self.model.condition(features))}


def _variety(images):
    return float(images.std(axis=0).mean())
