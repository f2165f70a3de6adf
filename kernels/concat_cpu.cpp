#include <algorithm>

#include "kernels/concat.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

// body(row), with 16384 elements or more for each thread.
template <class Body>
void for_rows(int64_t rows, int64_t columns, const Body& body) {
  parallel_for(rows, 16384 / std::max<int64_t>(1, columns) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) body(row);
  });
}

}  // namespace

template <class T>
void concat_forward(int64_t rows, int64_t a, int64_t b, const T* x_a, const T* x_b, T* y) {
  for_rows(rows, a + b, [=](int64_t row) {
    std::copy_n(x_a + row * a, a, y + row * (a + b));
    std::copy_n(x_b + row * b, b, y + row * (a + b) + a);
  });
}

template <class T>
void concat_backward(int64_t rows, int64_t a, int64_t b, const T* dy, T* dx_a, T* dx_b) {
  for_rows(rows, a + b, [=](int64_t row) {
    if (dx_a) std::copy_n(dy + row * (a + b), a, dx_a + row * a);
    if (dx_b) std::copy_n(dy + row * (a + b) + a, b, dx_b + row * b);
  });
}

template void concat_forward(int64_t, int64_t, int64_t, const float*, const float*, float*);
template void concat_forward(int64_t, int64_t, int64_t, const double*, const double*, double*);
template void concat_backward(int64_t, int64_t, int64_t, const float*, float*, float*);
template void concat_backward(int64_t, int64_t, int64_t, const double*, double*, double*);

}  // namespace lookalike::cpu
