#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike::cpu {

#define DECLARE_FOR(isa)                                                                                       \
  namespace isa {                                                                                              \
  void block_product(int64_t, int64_t, int64_t, const float*, int64_t, int64_t, const float*, int64_t, float*, \
                     int64_t, bool);                                                                           \
  }
DECLARE_FOR(base)
DECLARE_FOR(avx2)
DECLARE_FOR(avx512)

void pack_panel(const float* rows, int64_t count, int64_t d, float* panel) {
  typedef float Vec __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
  int64_t row = 0;
  // Four rows by four values at a time, transposed in registers.
  for (; row + 4 <= count; row += 4) {
    const float* from = rows + row * d;
    int64_t i = 0;
    for (; i + 4 <= d; i += 4) {
      const auto load = [&](int64_t r) { return *reinterpret_cast<const Vec*>(from + r * d + i); };
      const auto store = [&](int64_t j, Vec v) { *reinterpret_cast<Vec*>(panel + (i + j) * kPanelRows + row) = v; };
      const Vec a = load(0), b = load(1), c = load(2), e = load(3);
      const Vec ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Vec ce_low = __builtin_shufflevector(c, e, 0, 4, 1, 5), ce_high = __builtin_shufflevector(c, e, 2, 6, 3, 7);
      store(0, __builtin_shufflevector(ab_low, ce_low, 0, 1, 4, 5));
      store(1, __builtin_shufflevector(ab_low, ce_low, 2, 3, 6, 7));
      store(2, __builtin_shufflevector(ab_high, ce_high, 0, 1, 4, 5));
      store(3, __builtin_shufflevector(ab_high, ce_high, 2, 3, 6, 7));
    }
    for (; i < d; i++)
      for (int64_t r = 0; r < 4; r++) panel[i * kPanelRows + row + r] = from[r * d + i];
  }
  for (; row < kPanelRows; row++)
    for (int64_t i = 0; i < d; i++) panel[i * kPanelRows + row] = row < count ? rows[row * d + i] : 0;
}

void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row, int64_t a_step,
                   const float* b, int64_t b_row, float* c, int64_t c_row, bool add) {
  auto* product = base::block_product;
#if defined(__x86_64__)
  if (isa() == Isa::avx2) product = avx2::block_product;
  if (isa() == Isa::avx512) product = avx512::block_product;
#endif
  product(rows, columns, k, a, a_row, a_step, b, b_row, c, c_row, add);
}

}  // namespace lookalike::cpu
