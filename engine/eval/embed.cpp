#include "engine/eval/embed.h"

#include <algorithm>

namespace lookalike {

Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images) {
  constexpr int64_t kBatch = 64;
  check(!images.empty(), "no images to embed");
  NoGrad no_grad;
  const auto count = std::ssize(images);
  Tensor result;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, count);
    const Tensor out = network.forward(Variable(store.batch(images.subspan(begin, end - begin))), {}).value();
    if (!result.defined()) result = Tensor(out.shape().with_rows(count), out.dtype());
    result.rows(begin, end).copy_from(out);
  }
  return result;
}

}  // namespace lookalike
