#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike::cpu {

namespace base {
void score_panel(const float*, int64_t, int64_t, const float*, float*);
}
namespace avx2 {
void score_panel(const float*, int64_t, int64_t, const float*, float*);
}
namespace avx512 {
void score_panel(const float*, int64_t, int64_t, const float*, float*);
}

void pack_panel(const float* rows, int64_t count, int64_t d, float* panel) {
  // A cache line of each row at a time.
  constexpr int64_t kBlock = 16;
  if (count < kPanelRows) std::fill_n(panel, d * kPanelRows, 0.0f);
  for (int64_t begin = 0; begin < d; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, d);
    for (int64_t row = 0; row < count; row++)
      for (int64_t i = begin; i < end; i++) panel[i * kPanelRows + row] = rows[row * d + i];
  }
}

void score_panel(const float* queries, int64_t q, int64_t d, const float* panel, float* scores) {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::score_panel(queries, q, d, panel, scores);
  if (isa() == Isa::avx2) return avx2::score_panel(queries, q, d, panel, scores);
#endif
  base::score_panel(queries, q, d, panel, scores);
}

}  // namespace lookalike::cpu
