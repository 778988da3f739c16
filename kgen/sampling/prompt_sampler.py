"""From prompts to images: guidance, walks between prompts, and what is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs.prompt_input import PromptInput, split_inputs
from kgen.layers import FeatureMemory
from kgen.sampling.latents import seeds_and_indices, truncation_inputs
from kgen.sampling.prompt_walk import walk_inputs
from kgen.sampling.sampler import Sampler
from kgen.types import Array, Tensor, Verbose


class PromptSampler(Sampler):
    """How a text-to-image model generates.

    Beside what a `Sampler` needs the model gives `text_encoder`, `prompt_cleaner`, `prompt_expander`, `memory`,
    `caption_dropout` and `condition(features)`, what its generator is given of text features.

    Args:
        model: that generates.

    Example:

    ```python
    model.sampler.prompts.read(["A red  apple"], "example")         # ["A red apple"], as the encoder reads it
    ```
    """

    def __init__(self, model: Any):
        super().__init__(model)
        self.read_by(model.text_encoder)

    def read_by(self, encoder: Any) -> None:
        """Lets another encoder, which gives the features of the model's own, read prompts; it is not trained on."""
        model = self.model
        self.prompts = PromptInput(encoder, model.prompt_cleaner, model.prompt_expander, model.memory)

    # === Graphs, row by row ===
    def draw(self, inputs: dict[str, Tensor]) -> Tensor:
        """uint8 images from `seeds` and `indices`, or `latents`, and text features `(N, ...)`.

        With `guidance` `(N,)`, guided away from the image without a caption, or from that of the features named
        `negative_...`. With `truncation` `(N,)`, from truncated latents.
        """
        features, others, given = split_inputs(inputs)
        model, condition = self.model, self.model.condition(features)
        latents = self.latents(given, condition)
        images = self.synthesize(latents, condition)
        if "guidance" in given:
            nothing = {key: ops.zeros_like(value) for key, value in condition.items()}
            without = self.synthesize(latents, model.condition(others) if others else nothing)
            images = without + ops.reshape(given["guidance"], (-1, 1, 1, 1)) * (images - without)
        return self.finished(images)

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
        """`generate` of a text-to-image model; see there."""
        owner, single = f"{self.owner}.generate", isinstance(prompts, str)
        texts = self.prompts.read([prompts] if single else prompts, owner)
        num_images = checks.integer(owner, "num_images", num_images)
        if guidance_scale is not None and not self.model.caption_dropout:
            raise ValueError(f"{owner}: guidance_scale needs a model trained with caption_dropout > 0.")
        if negative_prompts is not None and (guidance_scale is None or guidance_scale <= 1):
            raise ValueError(
                f"{owner}: negative_prompts are what guidance goes away from; give a guidance_scale above 1 with them; "
                f"got {guidance_scale!r}."
            )
        seeds, indices = seeds_and_indices(self.owner, seed, len(texts), num_images)
        inputs = self.prompts.features(texts, negative_prompts, num_images, batch_size, verbose)
        inputs |= {"seeds": seeds, "indices": indices, **truncation_inputs(self.owner, truncation, len(seeds))}
        if guidance_scale not in (None, 1, 1.0):
            inputs["guidance"] = np.full(len(seeds), guidance_scale, "float32")
        images = self.run(inputs, batch_size, verbose)
        images = images[0] if single and num_images == 1 else images
        return (images, texts[0] if single else texts) if return_prompts else images

    def walk(self, prompts: Any, steps: int, seed: Any, batch_size: int, verbose: Verbose) -> Array:
        """`walk` of a text-to-image model; see there."""
        owner = f"{self.owner}.walk"
        texts = self.prompts.read(prompts, owner)
        if len(texts) < 2:
            raise ValueError(f"{owner}: give two prompts or more to walk between; got {texts}.")
        steps = checks.integer(owner, "steps", steps)
        seeds, indices = seeds_and_indices(self.owner, seed, len(texts))
        features = self.prompts.features(texts, batch_size=batch_size, verbose=verbose)
        latents = self.latents({"seeds": seeds, "indices": indices}, self.model.condition(features))
        on_sphere = self.model.text_encoder.normalize
        return self.run(walk_inputs(features, ops.convert_to_numpy(latents), steps, on_sphere), batch_size, verbose)

    def memory_of(self, captions: Any, sharpness: float, verbose: Verbose) -> FeatureMemory | None:
        """A `FeatureMemory` of captions, as the encoder that reads prompts now has them; None for None."""
        owner = f"{self.owner}.remember"
        if self.model.text_encoder.trainable:
            raise ValueError(f"{owner}: features of a trainable text encoder do not stay what they are; this one is.")
        if captions is None:
            return None
        captions = [captions] if isinstance(captions, str) else captions
        texts = [text for each in captions for text in (each if isinstance(each, (list, tuple)) else [each])]
        texts = list(dict.fromkeys(self.prompts.read(texts, owner, expand=False)))
        pooled = self.prompts.encoder.encode(texts, verbose=verbose)["pooled"]
        memory = FeatureMemory(len(texts), sharpness, dtype="float32", name="memory")
        memory.build(pooled.shape)
        memory.known.assign(pooled)
        return memory

    # === In a SavedModel ===
    def served_layers(self) -> list:
        """The text encoder with its tokenizer, the standards of its features, the averaged generator."""
        model = self.model
        layers = [model.text_encoder, model.text_encoder.preprocessor, model.memory]
        layers += [model.standardize_pooled, model.standardize_tokens, model.average]
        return [layer for layer in layers if layer is not None]

    def serving_signature(self) -> list:
        """`prompts`, strings `(N,)`, and `seed`, an int32 scalar."""
        import tensorflow as tf

        return [tf.TensorSpec([None], tf.string, name="prompts"), tf.TensorSpec([], tf.int32, name="seed")]

    def serve(self, prompts: Tensor, seed: Tensor) -> dict[str, Tensor]:
        """`{"images"}`: what `generate(prompts, seed=seed)` gives, of prompts as they are: no language model runs."""
        model = self.model
        if model.prompt_cleaner is not None:
            prompts = model.prompt_cleaner.clean_tensor(prompts)
        features = model.text_encoder(model.text_encoder.preprocess(prompts))
        if model.memory is not None:
            features["pooled"] = model.memory(features["pooled"])
        indices = ops.arange(ops.shape(prompts)[0], dtype="int32")
        seeds = ops.zeros_like(indices) + seed
        return {"images": self.draw({"seeds": seeds, "indices": indices, **features})}
