import pytest

from kgen.metrics import ClassifierScore, KernelDistance, PrecisionRecall, ReconstructionError
from kgen.metrics.by_name import METRICS, metric_list, named_metric


@pytest.mark.parametrize("name", METRICS)
def test_each_has_the_name_that_its_numbers_begin_with(name):
    metric = named_metric(name, "pixels", "pixels")
    assert type(metric) is METRICS[name]
    assert metric.feature_extractor is None or metric.feature_extractor.name == "pixels"


def test_lists_names_and_metrics_alone():
    metric = KernelDistance("pixels")
    assert metric_list("f", metric) == [metric] == metric_list("f", [metric]) and metric_list("f", None) == []
    with pytest.raises(ValueError, match="^f: unknown metric 'fid'; choose from frechet_distance, kernel_distance"):
        metric_list("f", ["fid"])


def test_kinds():
    assert {METRICS[name] for name in ("classifier_score", "reconstruction_error", "precision_recall")} == {
        ClassifierScore,
        ReconstructionError,
        PrecisionRecall,
    }
