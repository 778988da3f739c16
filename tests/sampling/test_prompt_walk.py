import numpy as np

from kgen.sampling.prompt_walk import walk_inputs

MASK = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)


def example():
    random = np.random.default_rng(0)
    tokens = random.normal(size=(3, 3, 5)).astype("float32") * MASK[..., None]
    pooled = random.normal(size=(3, 4)).astype("float32")
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    return {"pooled": pooled, "tokens": tokens, "mask": MASK}, random.normal(size=(3, 8)).astype("float32")


def test_it_passes_each_text():
    features, latents = example()
    inputs = walk_inputs(features, latents, steps=4, on_sphere=True)
    assert {name: len(value) for name, value in inputs.items()} == dict.fromkeys(inputs, 9)
    for name, value in {**features, "latents": latents}.items():
        np.testing.assert_allclose(inputs[name][::4], value, atol=1e-6)
        assert inputs[name].dtype == value.dtype


def test_between_texts():
    features, latents = example()
    inputs = walk_inputs(features, latents, steps=4, on_sphere=True)
    np.testing.assert_allclose(np.linalg.norm(inputs["pooled"], axis=1), 1, atol=1e-6)
    assert inputs["mask"][1:8].sum(axis=1).tolist() == [3] * 7
    # A word that the first text does not have comes from the mean of what it has.
    mean = features["tokens"][0, :2].mean(axis=0)
    np.testing.assert_allclose(inputs["tokens"][1, 2], 0.75 * mean + 0.25 * features["tokens"][1, 2], atol=1e-6)
    straight = walk_inputs(features, latents, steps=2, on_sphere=False)["pooled"][1]
    np.testing.assert_allclose(straight, features["pooled"][:2].mean(axis=0), atol=1e-6)
    lengths = np.linalg.norm(latents, axis=1)
    np.testing.assert_allclose(np.linalg.norm(inputs["latents"][2]), lengths[:2].mean(), rtol=1e-5)
