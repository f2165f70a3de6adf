// The extents of a tensor, row-major: the last one varies fastest. At most six of them; none means a scalar.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace lookalike {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  // Throws Error on more than kMaxRank extents, a negative one, or a product of those above 0 past
  // 2^62.
  explicit Shape(const std::vector<int64_t>& extents);

  int rank() const { return rank_; }
  // Negative axes count from the end.
  int64_t operator[](int axis) const;
  // Number of elements; 1 for a scalar.
  int64_t size() const { return size_; }
  // Elements of one row, that is, of everything behind the first axis.
  int64_t row_size() const;
  // The same shape with another first extent.
  Shape with_rows(int64_t rows) const;
  std::vector<int64_t> extents() const { return {extents_.begin(), extents_.begin() + rank_}; }
  // "[2, 3, 4]"
  std::string to_string() const;

  bool operator==(const Shape& other) const { return extents_ == other.extents_ && rank_ == other.rank_; }

 private:
  void assign(const int64_t* begin, const int64_t* end);

  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
  int64_t size_ = 1;
};

}  // namespace lookalike

// In messages as to_string() gives it, made only when the message is.
template <>
struct fmt::formatter<lookalike::Shape> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const lookalike::Shape& shape, Context& context) const {
    return fmt::formatter<std::string>::format(shape.to_string(), context);
  }
};
