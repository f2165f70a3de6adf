// Double: plain loops, the oracle. Float: panels of b, packed in pieces of the reduction that stay in the caches (rows
// a power of two apart would fall on each other there), go through the register tiles of matmul_tile.cpp.
#include <algorithm>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/matmul_tile.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

constexpr int64_t kDepth = 512;  // of a piece of the reduction
constexpr int64_t kStrip = 128;  // columns of c that a thread works on at a time in matmul_nn and matmul_tn
constexpr int64_t kUnits = 32;   // that matmul_nt divides its work into, about

const MatmulTiles& tiles() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::kMatmulTiles;
  if (isa() == Isa::avx2) return avx2::kMatmulTiles;
#endif
  return base::kMatmulTiles;
}

// matmul_nt splits the reduction into groups whose sums are added up at the end, and the columns into parts: a fixed
// number from the sizes alone, so that the bits do not depend on the number of threads.
struct Plan {
  int64_t pieces, groups, blocks, parts, group_floats;

  Plan(int64_t m, int64_t n, int64_t k)
      : pieces((k + kDepth - 1) / kDepth),
        groups(std::clamp<int64_t>(pieces / 4, 1, kUnits)),
        blocks((n + tiles().block - 1) / tiles().block),
        parts(std::min(blocks, (kUnits + groups - 1) / groups)),
        group_floats(m * blocks * tiles().block) {}
};

// c = a b for a[m,k] of any strides: strips of columns, each in pieces of the reduction.
void multiply_strips(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                     float* c, float* workspace) {
  const MatmulTiles& t = tiles();
  if (k == 0) std::fill_n(c, m * n, 0.0f);
  parallel_for((n + kStrip - 1) / kStrip, 1, [&](int64_t begin, int64_t end) {
    float* panels = workspace + omp_get_thread_num() * kStrip * kDepth;
    for (int64_t strip = begin; strip < end; strip++) {
      const int64_t first = strip * kStrip, last = std::min(first + kStrip, n);
      for (int64_t l = 0; l < k; l += kDepth) {
        const int64_t depth = std::min(kDepth, k - l);
        for (int64_t j = first; j < last; j += t.block)
          t.pack(b + l * n + j, n, depth, last - j, panels + (j - first) * depth);
        for (int64_t j = first; j < last; j += t.block)
          t.multiply(m, depth, a + l * a_step, a_row, a_step, panels + (j - first) * depth, c + j, n, last - j, l > 0);
      }
    }
  });
}

// column_sums adds up so many chunks of rows, and then their sums.
int64_t sum_chunks(int64_t m) {
  return std::clamp<int64_t>(m / 512, 1, 256);
}

// sums[n] of the rows of a[m,n], some columns at a time, whose sums stay in registers.
template <class T>
void add_rows(int64_t m, int64_t n, const T* a, T* sums) {
  constexpr int64_t kColumns = 16;
  for (int64_t j = 0; j < n; j += kColumns) {
    T total[kColumns] = {};
    if (n - j >= kColumns) {
      for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < kColumns; k++) total[k] += a[i * n + j + k];
    } else {
      for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < n - j; k++) total[k] += a[i * n + j + k];
    }
    std::copy_n(total, std::min(kColumns, n - j), sums + j);
  }
}

}  // namespace

template <>
int64_t matmul_workspace<float>(int64_t m, int64_t n, int64_t k) {
  const Plan plan(m, n, k);
  const int64_t nt = plan.groups * plan.group_floats + omp_get_max_threads() * kDepth * (m + tiles().block);
  return std::max(nt, omp_get_max_threads() * kStrip * kDepth);
}

template <>
void matmul_nt(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const float* bias, float* c,
               float* workspace) {
  const MatmulTiles& t = tiles();
  const Plan plan(m, n, k);
  float *partials = workspace, *scratches = partials + plan.groups * plan.group_floats;
  // A group's sums: [block][m][t.block].
  parallel_for(plan.groups * plan.parts, 1, [&](int64_t begin, int64_t end) {
    float* rows = scratches + omp_get_thread_num() * kDepth * (m + t.block);
    float* panel = rows + kDepth * m;
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t group = unit / plan.parts, part = unit % plan.parts;
      const int64_t first_piece = plan.pieces * group / plan.groups,
                    last_piece = plan.pieces * (group + 1) / plan.groups;
      for (int64_t piece = first_piece; piece < last_piece; piece++) {
        const int64_t l = piece * kDepth, depth = std::min(kDepth, k - l);
        for (int64_t i = 0; i < m; i++)
          std::memcpy(rows + i * depth, a + i * k + l, static_cast<size_t>(depth) * sizeof(float));
        for (int64_t block = plan.blocks * part / plan.parts; block < plan.blocks * (part + 1) / plan.parts; block++) {
          t.pack_transposed(b + block * t.block * k + l, k, depth, n - block * t.block, panel);
          t.multiply(m, depth, rows, depth, 1, panel, partials + group * plan.group_floats + block * m * t.block,
                     t.block, t.block, piece > first_piece);
        }
      }
    }
  });
  parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++)
        for (int64_t block = 0; block < plan.blocks; block++) {
          const int64_t first = block * t.block, count = std::min(t.block, n - first);
          float* to = c + i * n + first;
          for (int64_t j = 0; j < count; j++) to[j] = bias ? bias[first + j] : 0;
          for (int64_t group = 0; group < plan.groups && plan.pieces > 0; group++) {
            const float* from = partials + group * plan.group_floats + (block * m + i) * t.block;
#pragma GCC ivdep
            for (int64_t j = 0; j < count; j++) to[j] += from[j];
          }
        }
    });
  });
}

template <>
void matmul_nn(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, float* workspace) {
  multiply_strips(m, n, k, a, k, 1, b, c, workspace);
}

template <>
void matmul_tn(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, float* workspace) {
  multiply_strips(m, n, k, a, 1, m, b, c, workspace);
}

template <>
int64_t matmul_workspace<double>(int64_t, int64_t, int64_t) {
  return 0;
}

template <>
void matmul_nt(int64_t m, int64_t n, int64_t k, const double* a, const double* b, const double* bias, double* c,
               double*) {
  parallel_for(m, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = bias ? bias[j] : 0;
        for (int64_t l = 0; l < k; l++) sum += a[i * k + l] * b[j * k + l];
        c[i * n + j] = sum;
      }
  });
}

template <>
void matmul_nn(int64_t m, int64_t n, int64_t k, const double* a, const double* b, double* c, double*) {
  parallel_for(m, 1, [&](int64_t begin, int64_t end) {
    std::fill(c + begin * n, c + end * n, 0.0);
    for (int64_t i = begin; i < end; i++)
      for (int64_t l = 0; l < k; l++)
        for (int64_t j = 0; j < n; j++) c[i * n + j] += a[i * k + l] * b[l * n + j];
  });
}

template <>
void matmul_tn(int64_t m, int64_t n, int64_t k, const double* a, const double* b, double* c, double*) {
  parallel_for(m, 1, [&](int64_t begin, int64_t end) {
    std::fill(c + begin * n, c + end * n, 0.0);
    for (int64_t i = begin; i < end; i++)
      for (int64_t l = 0; l < k; l++)
        for (int64_t j = 0; j < n; j++) c[i * n + j] += a[l * m + i] * b[l * n + j];
  });
}

template <class T>
int64_t column_sums_workspace(int64_t m, int64_t n) {
  return sum_chunks(m) > 1 ? sum_chunks(m) * n : 0;
}

template <class T>
void column_sums(int64_t m, int64_t n, const T* a, T* sums, T* workspace) {
  const int64_t chunks = sum_chunks(m);
  T* const partials = chunks > 1 ? workspace : sums;
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++)
        add_rows(m * (i + 1) / chunks - m * i / chunks, n, a + m * i / chunks * n, partials + i * n);
    });
  });
  if (chunks > 1) add_rows(chunks, n, partials, sums);
}

#define INSTANTIATE(T)                                         \
  template int64_t column_sums_workspace<T>(int64_t, int64_t); \
  template void column_sums(int64_t, int64_t, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace lookalike::cpu
