import numpy as np
import pytest

from kgen.metrics import RetrievalRecall
from kgen.metrics.retrieval import candidates_before_own, expected_recall
from tests.checks.metrics import check_metric
from tests.metrics import measures


@pytest.mark.backends
@pytest.mark.parametrize("make_metric", [measures.retrieval, measures.retrieval_euclidean])
def test_is_a_metric(make_metric):
    check_metric(make_metric, *measures.features())


def test_expected_recall_is_the_mean_over_draws():
    random = np.random.default_rng(0)
    before, total, among = np.array([0, 1, 4, 11]), 12, 5
    exact = expected_recall(before, total, among, 2)
    for row, count in zip(exact, before):
        others = np.arange(total - 1) < count
        hits = [random.permutation(others)[: among - 1].sum() < 2 for _ in range(20_000)]
        assert abs(np.mean(hits) - row) < 0.015
    np.testing.assert_allclose(expected_recall(before, total, total, 1), [1, 0, 0, 0])


def test_chance_and_perfection():
    random = np.random.default_rng(0)
    real = random.normal(size=(500, 20)).astype("float32")
    metric = RetrievalRecall(among=100, similarity="euclidean")
    metric.update_state(real, random.normal(size=real.shape).astype("float32"))
    assert abs(metric.results()["recall_at_1"] - 0.01) < 0.01
    assert abs(metric.results()["recall_at_5"] - 0.05) < 0.03
    metric.reset_state()
    metric.update_state(real, real)
    assert metric.results() == pytest.approx({"recall_at_1": 1.0, "recall_at_5": 1.0})


def test_the_same_image_for_everything_retrieves_nothing():
    real = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    metric = RetrievalRecall(among=50, similarity="euclidean")
    metric.update_state(np.ones_like(real), np.ones_like(real))
    assert metric.results() == {"recall_at_1": 0.0, "recall_at_5": 0.0}
    metric.reset_state()
    metric.update_state(real, np.full_like(real, np.nan))
    assert metric.results() == {"recall_at_1": 0.0, "recall_at_5": 0.0}


def test_candidates_before_own():
    candidates = np.array([[0.0], [1.0], [5.0]])
    assert candidates_before_own(candidates, np.array([[0.4], [0.6], [2.0]])).tolist() == [0, 0, 1 + 1]
    assert candidates_before_own(candidates, np.array([[4.0], [np.nan], [5.0]])).tolist() == [2, 2, 0]


def test_fewer_candidates_than_asked_for_are_said():
    metric = RetrievalRecall(among=100)
    metric.update_state(*measures.features(20))
    with pytest.warns(UserWarning, match="only 20 pairs, so recall is measured among these instead of 100"):
        metric.results()
    one = RetrievalRecall()
    one.update_state(*measures.features(1))
    with pytest.warns(UserWarning, match="at least 2 pairs; got 1"):
        assert np.isnan(list(one.results().values())).all()


def test_pairs_and_arguments():
    real, generated = measures.features()
    with pytest.raises(ValueError, match="compares image i with image i, .*; got 36 and 35"):
        RetrievalRecall().update_state(real, generated[1:])
    for wrong in ({"among": 1}, {"similarity": "dot"}, {"max_samples": 0}):
        with pytest.raises(ValueError, match=f"RetrievalRecall: {next(iter(wrong))}"):
            RetrievalRecall(**wrong)
