// Metrics against scikit-learn and pytorch-metric-learning (README.md).
#include "engine/eval/metrics.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

using doctest::Approx;

TEST_CASE("retrieval figures are pytorch-metric-learning's") {
  const TensorFile file = read_golden("metrics");
  for (const auto& [kind, similarity] :
       {std::pair("cosine", Similarity::cosine), {"distance", Similarity::negative_distance}}) {
    CAPTURE(kind);
    const LabelledMetrics metrics = labelled_metrics(file.tensors.at("embeddings"),
                                                     file.tensors.at("labels").span<int32_t>(),
                                                     std::vector<int64_t>{1}, similarity, 0);
    const auto golden = file.tensors.at(std::string(kind) + ".retrieval").span<double>();
    CHECK(metrics.precision_at_1.value == Approx(golden[0]).epsilon(1e-9));
    CHECK(metrics.recall[0].value == Approx(golden[0]).epsilon(1e-9));
    CHECK(metrics.r_precision.value == Approx(golden[1]).epsilon(1e-9));
    CHECK(metrics.map_at_r.value == Approx(golden[2]).epsilon(1e-9));
  }
}

TEST_CASE("verification figures are scikit-learn's") {
  const TensorFile file = read_golden("metrics");
  const auto scores = file.tensors.at("scores").span<float>();
  const auto similar = file.tensors.at("similar").span<int32_t>();
  std::vector<ScoredPair> pairs;
  for (size_t i = 0; i < scores.size(); i++)
    pairs.push_back({scores[i], similar[i] != 0, static_cast<int64_t>(i)});
  const VerificationMetrics metrics = verification_metrics(pairs, 0.1, 0);
  const auto golden = file.tensors.at("verification").span<double>();
  CHECK(metrics.roc_auc.value == Approx(golden[0]).epsilon(1e-12));
  CHECK(metrics.eer.value == Approx(golden[1]).epsilon(1e-6));  // theirs is found on a fine grid
  CHECK(metrics.true_match_rate.value == Approx(golden[2]).epsilon(1e-12));
  CHECK(metrics.false_match_rate == Approx(golden[3]).epsilon(1e-12));
  CHECK(metrics.threshold == golden[4]);
}

}  // namespace
}  // namespace lookalike::testing
