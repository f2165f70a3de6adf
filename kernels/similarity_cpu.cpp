#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike::cpu {

#define DECLARE_FOR(isa)                                                                      \
  namespace isa {                                                                             \
  void widen(const f16*, int64_t, float*);                                                    \
  void pack_panel(const float*, int64_t, int64_t, float*);                                    \
  void score_rows(const float*, int64_t, int64_t, const float*, int64_t, bool, float*);       \
  void block_product(int64_t, int64_t, int64_t, const float*, int64_t, int64_t, const float*, \
                     int64_t, float*, int64_t, bool);                                         \
  }
DECLARE_FOR(base)
DECLARE_FOR(avx2)
DECLARE_FOR(avx512)

#if defined(__x86_64__)
#define CALL_FOR(isa, function, ...)        \
  switch (isa) {                            \
    case Isa::avx512:                       \
      return avx512::function(__VA_ARGS__); \
    case Isa::avx2:                         \
      return avx2::function(__VA_ARGS__);   \
    case Isa::base:                         \
      return base::function(__VA_ARGS__);   \
  }
#else
#define CALL_FOR(isa, function, ...) base::function(__VA_ARGS__)
#endif

namespace {

// Transposing takes one shuffle for each vector and step, and there are twice as many units for
// those of 256 bits.
Isa isa_to_transpose() {
  return isa() == Isa::avx512 ? Isa::avx2 : isa();
}

}  // namespace

void widen(const f16* values, int64_t count, float* out) {
  CALL_FOR(isa(), widen, values, count, out);
}

void pack_panel(const float* rows, int64_t count, int64_t d, float* panel) {
  CALL_FOR(isa_to_transpose(), pack_panel, rows, count, d, panel);
}

void score_rows(const float* queries, int64_t q, int64_t d, const float* rows, int64_t count,
                bool distances, float* scores) {
  CALL_FOR(isa_to_transpose(), score_rows, queries, q, d, rows, count, distances, scores);
}

void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row,
                   int64_t a_step, const float* b, int64_t b_row, float* c, int64_t c_row,
                   bool add) {
  CALL_FOR(isa(), block_product, rows, columns, k, a, a_row, a_step, b, b_row, c, c_row, add);
}

}  // namespace lookalike::cpu
