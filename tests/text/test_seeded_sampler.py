import numpy as np
import pytest
from keras import ops

from kgen.text.seeded_sampler import seeded_sampler_class

VOCABULARY, LENGTH = 12, 24
PROBABILITIES = np.array([0.4, 0.3, 0.2, 0.1, *[0.0] * 8], "float32")


def sample(prompts, seed=0, start=2, top_k=4, temperature=1.0):
    """Texts that go on from prompts by one distribution of tokens for every place."""
    sampler = seeded_sampler_class()(top_k, temperature, seed)
    sampler.restart()
    tokens = np.zeros((len(prompts), LENGTH), "int32")
    for row, prompt in zip(tokens, prompts):
        row[: len(prompt)] = prompt
    logits = np.log(np.maximum(PROBABILITIES, 1e-9))

    def next(prompt, cache, index):
        return ops.tile(logits[None], (ops.shape(prompt)[0], 1)), None, cache

    return ops.convert_to_numpy(sampler(next, ops.convert_to_tensor(tokens), index=start, mask=tokens > 0))


@pytest.mark.backends
def test_a_text_depends_on_its_prompt_and_the_seed_alone():
    together = sample([[5, 6], [7, 8, 9], [5, 7]])
    np.testing.assert_array_equal(together[0], sample([[5, 6]])[0])
    # Whose prompt is longer begins later, and has the same numbers at the same places.
    np.testing.assert_array_equal(together[1], sample([[7, 8, 9]], start=3)[0])
    assert together[1, :3].tolist() == [7, 8, 9]
    assert not np.array_equal(together[0, 3:], together[2, 3:])
    assert not np.array_equal(together[0], sample([[5, 6]], seed=1)[0])


@pytest.mark.backends
def test_tokens_come_as_often_as_they_are_likely():
    texts = sample([[i, j] for i in range(1, 11) for j in range(1, 11)])[:, 2:]
    shares = np.bincount(texts.ravel(), minlength=VOCABULARY) / texts.size
    # 2,200 draws: three deviations are 0.03.
    np.testing.assert_allclose(shares, PROBABILITIES, atol=0.035)


def test_the_likeliest_alone():
    assert set(sample([[5, 6]], top_k=1)[0, 2:]) == {0}
    assert set(sample([[5, 6], [6, 5]], top_k=2)[:, 2:].ravel()) == {0, 1}
