#!/usr/bin/env python3
"""Golden values of metrics: what scikit-learn and pytorch-metric-learning compute.

README.md tells how to run it.
"""
import numpy
import sklearn.metrics
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from make_golden import write_safetensors

MOST_FALSE_MATCHES = 0.1


def retrieval(tensors):
    """Classes of 1 to 12 items, noisy enough that all figures lie well inside (0, 1)."""
    sizes = torch.tensor([1, 2, 3, 5, 8, 12, 9, 4, 7, 1])
    labels = torch.repeat_interleave(torch.arange(10), sizes)
    labels = labels[torch.randperm(len(labels))]
    centers = torch.randn(10, 6)
    embeddings = (centers[labels] + 0.9 * torch.randn(len(labels), 6)).float()
    tensors["embeddings"], tensors["labels"] = embeddings, labels.int()
    names = ["precision_at_1", "r_precision", "mean_average_precision_at_r"]
    for kind, distance in [("cosine", CosineSimilarity()), ("distance", LpDistance(normalize_embeddings=False))]:
        calculator = AccuracyCalculator(include=names, k="max_bin_count", knn_func=CustomKNN(distance))
        figures = calculator.get_accuracy(embeddings.double(), labels)
        tensors[f"{kind}.retrieval"] = torch.tensor([figures[name] for name in names], dtype=torch.float64)


def verification(tensors):
    """Scores on a grid, so that similar and dissimilar pairs share some."""
    similar = torch.rand(400) < 0.3
    scores = torch.round((torch.randn(400) + 1.2 * similar) * 8) / 8
    tensors["scores"], tensors["similar"] = scores.float(), similar.int()
    false_matches, true_matches, thresholds = sklearn.metrics.roc_curve(similar, scores, drop_intermediate=False)
    # Where the interpolated curve meets false matches = 1 - true matches.
    at = numpy.linspace(0, 1, 1_000_001)
    along = numpy.arange(len(thresholds)) / (len(thresholds) - 1)
    difference = numpy.interp(at, along, false_matches + true_matches - 1)
    eer = numpy.interp(numpy.interp(0, difference, at), along, false_matches)
    best = numpy.flatnonzero(false_matches <= MOST_FALSE_MATCHES)[-1]
    tensors["verification"] = torch.tensor(
        [sklearn.metrics.roc_auc_score(similar, scores), eer, true_matches[best], false_matches[best],
         thresholds[best]], dtype=torch.float64)


if __name__ == "__main__":
    torch.manual_seed(0)
    golden = {}
    retrieval(golden)
    verification(golden)
    write_safetensors("metrics", golden, keep_types=True)
