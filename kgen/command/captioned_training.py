"""A complete text-to-image run: from captioned images to a model on disk, with samples, a backup and a score."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kgen.callbacks import Backup, SampleGrid
from kgen.command.model_files import load_model
from kgen.data import CaptionedImages
from kgen.files import write_whole
from kgen.metrics import FeatureExtractor, RetrievalRecall
from kgen.models import TextToImage
from kgen.presets.preset import restart_averages
from kgen.visualization import save_images

# A small set is repeated within an epoch; otherwise there would be thousands of epochs.
_MOST_EPOCHS = 24
# How many times a run draws samples and reports its progress.
_REPORTS = 8


def train_captioned(
    data: CaptionedImages,
    output: Path,
    source: str,
    text_encoder: str = "tiny_minilm_en_zh",
    steps: int = 1600,
    batch_size: int = 32,
    seed: int = 0,
    prompts: Sequence[str] | None = None,
    start: str | None = None,
    verbose: int | None = None,
) -> dict[str, Any]:
    """Trains a `TextToImage` on captioned images, and writes the model, samples and a report.

    A killed run resumes when it is started again with the same data and numbers. With others its directory is refused.

    Args:
        data: at least two captioned images.
        output: directory for `model.keras`, `saved_model/` (where TensorFlow is installed), `samples/`, `images.png`
            and `report.json`.
        source: where the images come from; it helps to recognize the run.
        text_encoder: anything that `TextEncoder.of` takes.
        steps: training steps, rounded to whole epochs; a small set is repeated within an epoch.
        batch_size: images per step.
        seed: seed of the weights and of training.
        prompts: prompts of the samples; None: captions spread over the data.
        start: a trained `TextToImage` to go on with, as `kgen.command.model_files` finds it. The text encoder and the
            seed are then its own. If it remembers captions, it remembers the new ones instead.
        verbose: as in `keras.Model.fit`; None: a bar in a terminal, else a line per epoch.

    Returns:
        The report: `retrieval`, the share of captions that draw the right image out of `among`, and `seconds`.

    Raises:
        FileExistsError: if the directory belongs to another run.
        ValueError: for fewer than two images.

    Example:

    ```python
    data = kgen.data.captioned_folder("my_images")
    kgen.command.captioned_training.train_captioned(data, Path("my_run"), "my_images", steps=800)
    ```
    """
    began = time.time()
    if len(data) < 2:
        raise ValueError(f"training needs at least 2 images; got {len(data)}.")
    print(f"{len(data)} images with {sum(len(each) for each in data.captions)} captions")
    origin = {"start": start} if start else {"text_encoder": text_encoder}
    numbers = {**origin, "steps": steps, "batch_size": batch_size, "seed": seed}
    backup = Backup(output, {**description(data, source), **numbers}, keep=True)
    prompts = list(prompts or prompts_of(data))
    # A network's initial weights come from Keras' own random numbers.
    keras.utils.set_random_seed(seed)
    if start:
        model = load_model(start)
        restart_averages(model)
    else:
        model = TextToImage(text_encoder, image_shape=data.image_shape, sequence_length=16, seed=seed)
    memory = model.memory
    # For now: it would take the new captions for old ones.
    model.remember(None)
    shown, epochs, each = schedule(data, steps, batch_size)
    print(f"{epochs * each} steps of {batch_size} images: {epochs} epochs of {each} steps.")
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * each, warmup_target=1.5e-3, warmup_steps=min(100, epochs * each)
    )
    model.compile(keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0))
    model.fit(
        shown,
        epochs=epochs,
        batch_size=batch_size,
        verbose=(1 if sys.stderr.isatty() else 2) if verbose is None else verbose,
        callbacks=[
            SampleGrid(output / "samples", prompts, every=max(1, epochs // _REPORTS)),
            keras.callbacks.LambdaCallback(on_epoch_end=progress(model, data, epochs)),
            backup,
        ],
    )
    if memory is not None:
        model.remember(data.captions, sharpness=memory.sharpness)
    save_images(output / "images.png", model.generate(prompts, seed=0), prompts, scale=2)
    try:
        model.export(output / "saved_model")
    except ImportError as error:
        print(f"No SavedModel was written: {error}")
    score, among = retrieval(model, data)
    report = {"retrieval": score, "among": among, "seconds": round(time.time() - began, 1)}
    write_whole(output / "report.json", json.dumps(report) + "\n")
    # Written last: if it exists, the run is complete.
    model.save(output / "model.keras")
    backup.delete()
    if among > 1:
        print(f"\n{_told(score, among)} (chance {1 / among:.0%}).")
    return {**report, "prompts": prompts}


def description(data: CaptionedImages, source: str) -> dict[str, Any]:
    """A description of a run's data: a backup resumes only with the same data."""
    digest = hashlib.blake2b(json.dumps(data.captions).encode(), digest_size=8)
    for image in data.images:
        digest.update(image)
    return {"data": source, "images": len(data), "content": digest.hexdigest(), "image_size": data.image_shape[0]}


def schedule(data: CaptionedImages, steps: int, batch_size: int) -> tuple[CaptionedImages, int, int]:
    """`(data, epochs, steps per epoch)`: the data, repeated if there are few, and epochs for about `steps` steps."""
    repeats = max(1, round(steps * batch_size / _MOST_EPOCHS / len(data)))
    if repeats > 1:
        data = data[np.tile(np.arange(len(data)), repeats)]
    each = -(-len(data) // batch_size)
    return data, max(1, round(steps / each)), each


def prompts_of(data: CaptionedImages, count: int = 16) -> list[str]:
    """Different captions, spread over the data."""
    captions = list(dict.fromkeys(each[0] for each in data.captions))
    return [captions[i] for i in np.linspace(0, len(captions) - 1, min(count, len(captions))).astype(int)]


def progress(model: TextToImage, data: CaptionedImages, epochs: int) -> Callable[[int, Any], None]:
    """A function that prints, eight times a run, how many captions draw the right image so far, and the time left."""
    every, began = max(1, epochs // _REPORTS), []

    def say(epoch, logs):
        began.append(time.time())
        if (epoch + 1) % every == 0 and len(began) > 1:
            score, among = retrieval(model, data, 100)
            told = f"{_told(score, among)}; " if among > 1 else ""
            minutes = (began[-1] - began[0]) / (len(began) - 1) * (epochs - epoch - 1) / 60
            print(f"{told}about {minutes:.1f} minutes to go.")

    return say


def _told(score, among):
    return f"For {score:.0%} of captions, the generated image is nearest to the right one of {among} images"


def retrieval(model: TextToImage, data: CaptionedImages, queries: int = 300) -> tuple[float, int]:
    """`(share, n)`: how often a generated image's nearest of n originals is its own, by 16 x 16 mean colours.

    Each of the n has another first caption.
    """
    # Images with the same caption cannot be told apart: one of them is enough.
    different = list({texts[0]: i for i, texts in reversed(list(enumerate(data.captions)))}.values())
    asked = np.random.default_rng(0).permutation(different)[:queries]
    generated = model.generate([data.captions[i][0] for i in asked], seed=1)
    colours = FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
    among = min(100, len(asked))
    recall = RetrievalRecall(colours, among=among, similarity="euclidean")
    recall.update_state(data.images[asked], generated)
    return recall.result()["recall_at_1_colours"], among
