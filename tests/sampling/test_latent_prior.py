import numpy as np
import pytest
from keras import ops
from scipy import stats
from scipy.special import logsumexp

from kgen.sampling.latent_prior import LatentPrior, component_noise
from kgen.training import image_noise


def clusters(count=600, seed=0):
    """Points in three long clusters, and which one each is of."""
    numbers = np.random.default_rng(seed)
    of_cluster = numbers.integers(0, 3, count)
    centres = np.array([[4.0, 0.0, 0.0], [-4.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    spread = np.array([[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [0.0, 0.0, 0.5]])
    return centres[of_cluster] + numbers.normal(size=(count, 3)) @ spread, of_cluster


def fit(points, labels=None, num_classes=1, components=3):
    labels = np.zeros(len(points), int) if labels is None else labels
    return LatentPrior.fit("VAE.fit_prior", points, labels, num_classes, components, 100, seed=0)


@pytest.fixture(scope="module")
def prior():
    return fit(clusters()[0])


def test_it_finds_clusters_as_well_as_scikit_learn_does(prior):
    points, _ = clusters()
    mixture = pytest.importorskip("sklearn.mixture")
    peer = mixture.GaussianMixture(3, random_state=0, n_init=3).fit(points).score(points)
    standard = stats.norm.logpdf(points).sum(axis=1).mean()
    np.testing.assert_allclose(prior.gain + standard, peer, atol=0.02)
    np.testing.assert_allclose(sorted(prior.weights[0]), sorted(np.bincount(clusters()[1]) / 600), atol=0.01)


def test_labels_in_a_column():
    points, labels = clusters()
    column, plain = (fit(points, each, num_classes=3, components=1) for each in (labels[:, None], labels))
    np.testing.assert_array_equal(column.means, plain.means)


@pytest.mark.backends
def test_log_density(prior):
    points = clusters(20, seed=1)[0].astype("float32")
    each = [
        np.log(weight) + stats.multivariate_normal(mean, factor @ factor.T).logpdf(points)
        for weight, mean, factor in zip(prior.weights[0], prior.means[0], prior.factors[0])
    ]
    found = ops.convert_to_numpy(prior.log_density(ops.convert_to_tensor(points), {}))
    np.testing.assert_allclose(found, logsumexp(each, axis=0) + 1.5 * np.log(2 * np.pi), rtol=1e-4)


def drawn(prior, count, classes=None, seed=0):
    seeds, indices = np.full(count, seed, "int32"), np.arange(count, dtype="int32")
    pooled = None if classes is None else ops.convert_to_tensor(np.eye(len(prior.weights), dtype="float32")[classes])
    noise, choice = image_noise(seeds, indices, 3), component_noise(seeds, indices)
    return ops.convert_to_numpy(prior.draw(noise, choice, {"pooled": pooled}))


@pytest.mark.backends
def test_draws_are_spread_as_the_points(prior):
    points, found = clusters()[0], drawn(prior, 2000)
    np.testing.assert_allclose(found.mean(axis=0), points.mean(axis=0), atol=0.25)
    np.testing.assert_allclose(np.cov(found.T), np.cov(points.T), atol=0.8)
    # Which component it is has nothing to do with where in it a draw lies.
    component = np.argmin(((found[:, None] - prior.means[0]) ** 2).sum(axis=2), axis=1)
    noise = ops.convert_to_numpy(image_noise(np.zeros(2000, "int32"), np.arange(2000, dtype="int32"), 3))
    for c in range(3):
        np.testing.assert_allclose(noise[component == c].mean(axis=0), 0.0, atol=0.15)
        np.testing.assert_allclose(np.mean(component == c), prior.weights[0][c], atol=0.04)


def test_a_mixture_for_each_class():
    points, labels = clusters()
    prior = fit(points, labels, 3, components=2)
    assert prior.weights.shape == (3, 2) and prior.factors.shape == (3, 2, 3, 3)
    for label in range(3):
        found = drawn(prior, 300, np.full(300, label))
        np.testing.assert_allclose(found.mean(axis=0), points[labels == label].mean(axis=0), atol=0.3)
    right, wrong = (
        ops.convert_to_numpy(
            prior.log_density(
                ops.convert_to_tensor(points.astype("float32")),
                {"pooled": ops.convert_to_tensor(np.eye(3, dtype="float32")[of_class])},
            )
        )
        for of_class in (labels, (labels + 1) % 3)
    )
    assert (right > wrong).all()


def test_points_that_are_all_alike():
    prior = fit(np.ones((20, 3)), components=2)
    np.testing.assert_allclose(drawn(prior, 10), 1.0, atol=1e-3)


def test_on_disk(prior):
    store = {"other": 1}
    prior.save(store)
    again = LatentPrior.load(store)
    np.testing.assert_array_equal(drawn(again, 5), drawn(prior, 5))
    assert store == {"other": 1} and LatentPrior.load(store) is None


def test_too_few_images():
    points, labels = clusters(30)
    with pytest.raises(ValueError, match="VAE.fit_prior: 20 components need at least 40 images; got 30"):
        fit(points, components=20)
    with pytest.raises(ValueError, match="8 components need at least 16 images of every class; got"):
        fit(points, labels, 3, components=8)
