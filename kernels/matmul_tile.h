// What the float matrix products are made of, compiled once for each instruction set (matmul_tile.cpp) and driven by
// matmul_cpu.cpp: a register tile of kTile broadcast values of a times two vectors of a packed panel of b.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

struct MatmulTiles {
  int64_t block;  // columns of a panel

  // panel[depth][block] = b[depth, count] with rows `row` apart, zero-filled behind `count`.
  void (*pack)(const float* b, int64_t row, int64_t depth, int64_t count, float* panel);
  // The same of b[count, depth], transposed.
  void (*pack_transposed)(const float* b, int64_t row, int64_t depth, int64_t count, float* panel);
  // c[i * c_row + j], j < count, = or += sum over l < depth of a[i * a_row + l * a_step] * panel[l][j].
  void (*multiply)(int64_t m, int64_t depth, const float* a, int64_t a_row, int64_t a_step, const float* panel,
                   float* c, int64_t c_row, int64_t count, bool accumulate);
};

namespace base {
extern const MatmulTiles kMatmulTiles;
}
namespace avx2 {
extern const MatmulTiles kMatmulTiles;
}
namespace avx512 {
extern const MatmulTiles kMatmulTiles;
}

}  // namespace lookalike::cpu
