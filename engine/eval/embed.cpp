#include "engine/eval/embed.h"

#include <algorithm>
#include <vector>

namespace lookalike {

namespace {

// `batch(begin, end)` gives the network's input, `forward` what becomes of it.
template <class Batch, class Forward>
Tensor in_batches(int64_t count, const Compute& compute, const Batch& batch, const Forward& forward) {
  constexpr int64_t kBatch = 64;
  NoGrad no_grad;
  Tensor result;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, count);
    const Tensor out = forward(Variable(place_input(batch(begin, end), compute))).value();
    if (!result.defined()) result = Tensor(out.shape().with_rows(count), out.dtype());
    result.rows(begin, end).copy_from(out);
  }
  return result;
}

}  // namespace

Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images, const Compute& compute) {
  check(!images.empty(), "no images to embed");
  return in_batches(
      std::ssize(images), compute,
      [&](int64_t begin, int64_t end) { return store.batch(images.subspan(begin, end - begin)); },
      [&](const Variable& x) { return network.forward(x, {}); });
}

Tensor embed_features(Network& network, const Tensor& features, const Compute& compute) {
  return in_batches(
      features.shape()[0], compute, [&](int64_t begin, int64_t end) { return features.rows(begin, end); },
      [&](const Variable& x) { return network.forward_trained(x, {}); });
}

Tensor score_lists(Network& network, const Tensor& left, const Tensor& right, const CandidateLists& lists,
                   const Compute& compute) {
  if (!network.matcher) return score_candidates(left, right, lists, network.similarity);
  NoGrad no_grad;
  Tensor scores({lists.lists(), lists.count});
  scores.fill(-std::numeric_limits<double>::infinity());
  constexpr int64_t kLists = 256;
  for (int64_t begin = 0; begin < lists.lists(); begin += kLists) {
    std::vector<int64_t> queries, candidates, cells;
    for (int64_t i = begin * lists.count; i < std::min(begin + kLists, lists.lists()) * lists.count; i++) {
      if (lists.candidates[i] == kNoCandidate) continue;
      queries.push_back(lists.query[i / lists.count]);
      candidates.push_back(lists.candidates[i]);
      cells.push_back(i);
    }
    const auto place = [&](const Tensor& rows) { return Variable(rows.to(compute.device)); };
    const Variable logits = network.matcher->logits(place(rows_of(left, queries)), place(rows_of(right, candidates)));
    const Tensor here = logits.value().to(Device::cpu);
    for (size_t i = 0; i < cells.size(); i++) scores.data<float>()[cells[i]] = here.data<float>()[i];
  }
  return scores;
}

// The sums are the trace of the covariance and that of its square, so no eigenvalue need be known.
double embedding_rank(const Tensor& embeddings) {
  const int64_t n = embeddings.shape()[0], d = embeddings.shape()[1];
  const float* e = embeddings.data<float>();
  std::vector<double> mean(d), covariance(d * d);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < d; j++) mean[j] += e[i * d + j] / static_cast<double>(n);
  }
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < d; j++) {
      for (int64_t k = 0; k < d; k++) covariance[j * d + k] += (e[i * d + j] - mean[j]) * (e[i * d + k] - mean[k]);
    }
  }
  double trace = 0, trace_of_square = 0;
  for (int64_t j = 0; j < d; j++) trace += covariance[j * d + j];
  for (const double c : covariance) trace_of_square += c * c;
  return trace_of_square > 0 ? trace * trace / trace_of_square : 0;
}

}  // namespace lookalike
