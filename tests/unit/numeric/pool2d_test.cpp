// Max pooling without a gradient goes over the channels in another way than with one.
#include "engine/ops/pool2d.h"

#include <limits>

#include <doctest/doctest.h>

#include "tests/op_case.h"

namespace lookalike::testing {

TEST_CASE("max pooling without a gradient gives the bits of max pooling with one") {
  for (const DType type : {DType::f32, DType::f64})
    for (const int64_t channels : {1, 31, 64, 70, 130}) {
      Tensor x = random_tensor({2, 9, 7, channels}, type, 1);
      if (type == DType::f32) x.span<float>()[0] = -std::numeric_limits<float>::infinity();
      for (const int64_t padding : {0, 1}) {
        CAPTURE(channels);
        CAPTURE(padding);
        Variable wanted(x, true);
        CHECK(same_bits(max_pool2d(Variable(x), 3, 2, padding).value(), max_pool2d(wanted, 3, 2, padding).value()));
      }
    }
}

TEST_CASE("pooling refuses images without pixels") {
  CHECK_THROWS_AS(max_pool2d(Variable(Tensor({1, 0, 4, 8})), 2, 2, 1), Error);
}

}  // namespace lookalike::testing
