import keras
import numpy as np
import pytest

from kgen.models import distill
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

COLORS = {"a red picture": (220, 30, 30), "a blue picture": (30, 30, 220)}


class Teacher:
    """Draws the colour that it is asked for, at twice the student's size."""

    def __init__(self):
        self.calls = 0

    def generate(self, prompts, seed, brightness=1.0):
        self.calls += 1
        shade = np.random.default_rng(seed).uniform(0.9, 1.0, (len(prompts), 1, 1, 1))
        pictures = np.array([np.full((32, 32, 3), COLORS[prompt]) for prompt in prompts])
        return (pictures * shade * brightness).astype("uint8")


def test_a_student_draws_what_its_teacher_drew(tmp_path):
    student, teacher = tiny_text.model(caption_dropout=0.0), Teacher()
    student.compile(keras.optimizers.Adam(0.01))
    history = distill(
        teacher, student, list(COLORS), tmp_path / "drawn", 8, teacher_batch_size=4, epochs=40, batch_size=8, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0]
    pictures = student.generate(list(COLORS), seed=0).astype(float)
    wanted = np.array(list(COLORS.values()))[:, None, None]
    assert np.abs(pictures - 0.95 * wanted).mean() < 40
    # What was drawn stays, and is not drawn again.
    assert teacher.calls == 4 and len(list((tmp_path / "drawn").glob("*.png"))) == 16
    distill(teacher, student, list(COLORS), tmp_path / "drawn", 8, teacher_batch_size=4, verbose=0)
    assert teacher.calls == 4


def test_options_of_the_teacher_and_a_student_that_is_not_compiled():
    student = tiny_text.model()
    distill(Teacher(), student, list(COLORS), teacher_options={"brightness": 0.0}, verbose=0)
    assert student.compiled and student.trained


def test_images_must_be_square():
    class Wide:
        image_shape = (8, 16, 3)

    with pytest.raises(ValueError, match="must be square; got 8x16"):
        distill(Teacher(), Wide(), ["a red picture"])


@pytest.mark.slow
def test_stable_diffusion_3_teaches(tmp_path, tensorflow_backend):
    """A tiny one with random weights: its pictures are noise, and what is tested is that they arrive."""
    models = pytest.importorskip("keras_hub").models
    # Not exported, but what Stable Diffusion 3 is made of.
    from keras_hub.src.models.vae.vae_backbone import VAEBackbone

    merges = ["a i", "p l", "n e</w>", "p o", "r t</w>", "ai r", "pl a", "po rt</w>", "pla ne</w>"]
    pieces = {piece for merge in merges for piece in (*merge.split(), merge.replace(" ", ""))}
    vocabulary = {token: i for i, token in enumerate([*sorted(pieces), "<|endoftext|>", "<|startoftext|>"])}

    def preprocessor(**kwargs):
        return models.CLIPPreprocessor(models.CLIPTokenizer(vocabulary, merges, **kwargs), sequence_length=8)

    preprocessors = preprocessor(pad_with_end_token=True), preprocessor()
    teacher = models.StableDiffusion3TextToImage(
        backbone=models.StableDiffusion3Backbone(
            mmdit_patch_size=2,
            mmdit_hidden_dim=16,
            mmdit_num_layers=1,
            mmdit_num_heads=2,
            mmdit_position_size=192,
            mmdit_qk_norm=None,
            mmdit_dual_attention_indices=None,
            vae=VAEBackbone([32] * 4, [1] * 4, [32] * 4, [1] * 4),
            clip_l=models.CLIPTextEncoder(32, 16, 16, 2, 2, 32, "quick_gelu", -2, name="clip_l"),
            clip_g=models.CLIPTextEncoder(32, 16, 16, 2, 2, 32, "gelu", -2, name="clip_g"),
            image_shape=(32, 32, 3),
        ),
        preprocessor=models.StableDiffusion3TextToImagePreprocessor(*preprocessors),
    )
    student = tiny_text.model()
    prompts, options = ["airplane", "airport"], {"num_steps": 2, "guidance_scale": 2.0}
    history = distill(
        teacher, student, prompts, tmp_path / "drawn", 2, teacher_batch_size=2, teacher_options=options, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()
    pictures = [keras.utils.load_img(file) for file in sorted((tmp_path / "drawn").glob("*.png"))]
    assert [picture.size for picture in pictures] == [(32, 32)] * 4
    assert not np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[1]))
