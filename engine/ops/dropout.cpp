#include "engine/ops/dropout.h"

#include "engine/core/dispatch.h"
#include "engine/core/random.h"
#include "kernels/dropout.h"

namespace lookalike {

Variable dropout(const Variable& x, double rate, uint64_t seed) {
  check(rate >= 0 && rate < 1, "dropout: rate {}, expected from 0 to below 1", rate);
  Tensor drawn(x.shape(), DType::u8);
  Random random(seed, RandomUse::dropout);
  for (uint8_t& kept : drawn.span<uint8_t>()) kept = random.uniform() >= static_cast<float>(rate);
  const Tensor keep = drawn.to(x.device());
  const auto apply = [keep, scale = 1 / (1 - rate)](const Tensor& from) {
    Tensor to(from.shape(), from.dtype(), from.device());
    LOOKALIKE_ON_DEVICE(
        from, { on::dropout(from.data<T>(), keep.data<uint8_t>(), scale, to.data<T>(), from.size(), stream...); });
    return to;
  };
  return Variable::from_op(apply(x.value()), {x},
                           [apply](const Tensor& dy) -> std::vector<Tensor> { return {apply(dy)}; });
}

}  // namespace lookalike
