#include "engine/eval/embed.h"

#include <algorithm>
#include <vector>

namespace lookalike {

Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images, const Compute& compute) {
  constexpr int64_t kBatch = 64;
  check(!images.empty(), "no images to embed");
  NoGrad no_grad;
  const auto count = std::ssize(images);
  Tensor result;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, count);
    const Tensor batch = place_input(store.batch(images.subspan(begin, end - begin)), compute);
    const Tensor out = network.forward(Variable(batch), {}).value();
    if (!result.defined()) result = Tensor(out.shape().with_rows(count), out.dtype());
    result.rows(begin, end).copy_from(out);
  }
  return result;
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
