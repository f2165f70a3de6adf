#include "engine/core/shape.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "engine/core/error.h"

namespace lookalike {

Shape::Shape(std::initializer_list<int64_t> extents) {
  assign(extents.begin(), extents.end());
}

Shape::Shape(const std::vector<int64_t>& extents) {
  assign(extents.data(), extents.data() + extents.size());
}

void Shape::assign(const int64_t* begin, const int64_t* end) {
  check(end - begin <= kMaxRank, "shape has {} axes, expected at most {}", end - begin, +kMaxRank);
  rank_ = static_cast<int>(end - begin);
  std::copy(begin, end, extents_.begin());
  int64_t product = 1;  // without those that are 0, so that the product of any of them fits, too
  for (int axis = 0; axis < rank_; axis++) {
    const int64_t extent = extents_[axis];
    check(extent >= 0, "shape axis {} is {}, expected at least 0", axis, extent);
    check(extent == 0 || product <= (int64_t{1} << 62) / extent,
          "shape has more than 2^62 elements");
    product *= std::max<int64_t>(extent, 1);
  }
  size_ = std::count(begin, end, 0) > 0 ? 0 : product;
}

int64_t Shape::operator[](int axis) const {
  const int at = axis < 0 ? axis + rank_ : axis;
  check(at >= 0 && at < rank_, "axis {} of shape {} does not exist", axis, *this);
  return extents_[at];
}

int64_t Shape::row_size() const {
  check(rank_ > 0, "a scalar has no rows");
  int64_t product = 1;
  for (int axis = 1; axis < rank_; axis++) product *= extents_[axis];
  return product;
}

Shape Shape::with_rows(int64_t rows) const {
  check(rank_ > 0, "a scalar has no rows");
  auto copy = extents();
  copy[0] = rows;
  return Shape(copy);
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(extents_.begin(), extents_.begin() + rank_, ", "));
}

}  // namespace lookalike
