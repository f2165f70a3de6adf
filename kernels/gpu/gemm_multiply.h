// What one warp multiplies: a kM x kN piece of the result in its registers, += a piece of two tiles in shared memory. Three
// ways (Math), with the same interface:
//
//   fp32   ordinary cores: 8 x 4 lanes, each with a block of kM/8 x kN/4 results, rows in runs of 4, columns in runs of 4
//   tf32   tensor cores, mma m16n8k8, the operands rounded on the way into registers
//   bf16   tensor cores, mma m16n8k16
//
// Shared memory without bank conflicts, for rows of `stride` elements (SharedTile):
//   [outer][depth]: swizzled for ldmatrix (bf16 and tf32); for 16-byte loads along k (fp32), and where single elements are stored,
//     stride = depth + 16 bytes: 5 times 16 bytes, an odd number, so that eight neighbouring rows start in different groups of
//     four banks
//   [depth][outer], stride = outer + 8: for bf16 an odd number of 16 bytes, as above, for ldmatrix with transposition; for
//     tf32 8 modulo 32 banks, so that 4 depths x 8 neighbours fall on 32 banks; fp32 reads 16 bytes along one row.
#pragma once

#include "kernels/gpu/gemm_load.h"
#include "kernels/gpu/mma.h"

namespace lookalike::gpu {

enum class Math { fp32, tf32, bf16 };

// Of the tile's depth: 64 bytes.
template <Math kMath>
constexpr int kTileDepth = kMath == Math::bf16 ? 32 : 16;

template <Math kMath, int kM, int kN>
class WarpProduct;

template <int kM, int kN>
class WarpProduct<Math::fp32, kM, kN> {
 public:
  static constexpr int kLanesM = 8, kLanesN = 4;  // also the interleaving of [outer][depth] tiles
  static constexpr int kRun = 4;
  static_assert(kM % (4 * kLanesM) == 0 && kN % (4 * kLanesN) == 0);

  __device__ WarpProduct() {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    m_ = lane / kLanesN * 4, n_ = lane % kLanesN * 4;
  }

  // The warp's piece begins at (m, n) of the block's tiles. Of the two operands one stands in registers for four depths, and the
  // other passes by: one whose tile is [outer][depth] in single rows, four depths with one load. `meanwhile` is called once; here at once.
  template <class TileA, class TileB, class Meanwhile>
  __device__ void add(const float* a, int m, const float* b, int n, const Meanwhile& meanwhile) {
    meanwhile();
    const float* const first_a = a + TileA::offset(m + m_, 0);
    const float* const first_b = b + TileB::offset(n + n_, 0);
#pragma unroll 1  // more would keep more operands in registers than there are
    for (int k = 0; k < TileA::kDepth; k += 4) {
      const float* const from_a = first_a + TileA::offset(0, k);
      const float* const from_b = first_b + TileB::offset(0, k);
      if constexpr (TileB::kDepthContiguous) {
        float va[4][kRows];
        load_all<TileA, kLanesM>(from_a, va);
#pragma unroll
        for (int j = 0; j < kColumns; j++) {
          const float4 x = load_row<TileB, kLanesN>(from_b, j);
          const float vb[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
          for (int kk = 0; kk < 4; kk++) {
#pragma unroll
            for (int i = 0; i < kRows; i++) sum_[i][j] = fmaf(va[kk][i], vb[kk], sum_[i][j]);
          }
        }
      } else if constexpr (TileA::kDepthContiguous) {
        float vb[4][kColumns];
        load_all<TileB, kLanesN>(from_b, vb);
#pragma unroll
        for (int i = 0; i < kRows; i++) {
          const float4 x = load_row<TileA, kLanesM>(from_a, i);
          const float va[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
          for (int kk = 0; kk < 4; kk++) {
#pragma unroll
            for (int j = 0; j < kColumns; j++) sum_[i][j] = fmaf(va[kk], vb[kk][j], sum_[i][j]);
          }
        }
      } else {
        float va[4][kRows], vb[4][kColumns];
        load_all<TileA, kLanesM>(from_a, va);
        load_all<TileB, kLanesN>(from_b, vb);
#pragma unroll
        for (int kk = 0; kk < 4; kk++) {
#pragma unroll
          for (int i = 0; i < kRows; i++) {
#pragma unroll
            for (int j = 0; j < kColumns; j++) sum_[i][j] = fmaf(va[kk][i], vb[kk][j], sum_[i][j]);
          }
        }
      }
    }
  }

  // body(row, column, values): runs of kRun neighbouring columns, relative to the warp's piece.
  template <class Body>
  __device__ void for_each_run(const Body& body) const {
#pragma unroll
    for (int i = 0; i < kRows; i++) {
#pragma unroll
      for (int j = 0; j < kColumns; j += 4) {
        const float values[4] = {sum_[i][j], sum_[i][j + 1], sum_[i][j + 2], sum_[i][j + 3]};
        body(i / 4 * 4 * kLanesM + m_ + i % 4, j * kLanesN + n_, values);
      }
    }
  }

 private:
  static constexpr int kRows = kM / kLanesM, kColumns = kN / kLanesN;

  // Four depths of the lane's outer index number i.
  template <class Tile, int kLanes>
  static __device__ float4 load_row(const float* from, int i) {
    return *reinterpret_cast<const float4*>(from + Tile::offset(i / 4 * 4 * kLanes, 0) +
                                            i % 4 * kLanes * Tile::kStride);
  }

  // v[kk][i]: depth kk, the lane's outer index number i.
  template <class Tile, int kLanes, int kCount>
  static __device__ void load_all(const float* from, float (&v)[4][kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
#pragma unroll
      for (int x = 0; x < 4; x++) {
        if constexpr (Tile::kDepthContiguous) {
          const float4 row = load_row<Tile, kLanes>(from, i + x);
          v[0][i + x] = row.x, v[1][i + x] = row.y, v[2][i + x] = row.z, v[3][i + x] = row.w;
        } else {
          const float4 run = *reinterpret_cast<const float4*>(from + Tile::offset(i * kLanes, x));
          v[x][i] = run.x, v[x][i + 1] = run.y, v[x][i + 2] = run.z, v[x][i + 3] = run.w;
        }
      }
    }
  }

  int m_, n_;
  float sum_[kRows][kColumns] = {};
};

// Both kinds of tensor-core products: a grid of m16n8 results.
template <int kM, int kN>
class MmaSums {
 public:
  static constexpr int kLanesM = 0, kLanesN = 0;  // no interleaving
  static constexpr int kRun = 2;
  static_assert(kM % 16 == 0 && kN % 16 == 0);

  template <class Body>
  __device__ void for_each_run(const Body& body) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
    for (int i = 0; i < kM / 16; i++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int j = 0; j < kN / 8; j++) {
          const float values[2] = {sum_[i][j][2 * half], sum_[i][j][2 * half + 1]};
          body(16 * i + 8 * half + lane / 4, 8 * j + lane % 4 * 2, values);
        }
      }
    }
  }

 protected:
  struct Operands {
    uint32_t a[kM / 16][4], b[kN / 8][2];
  };

  // The depths of a tile, kStep at a time: load(k, operands) fetches what multiply(sum, a, b) takes a step later. `meanwhile` is called while
  // the first are under way.
  template <int kDepth, int kStep, class Load, class Multiply, class Meanwhile>
  __device__ void add_steps(const Load& load, const Multiply& multiply, const Meanwhile& meanwhile) {
    Operands operands[2];
    load(0, operands[0]);
    meanwhile();
#pragma unroll
    for (int k = 0; k < kDepth; k += kStep) {
      if (k + kStep < kDepth) load(k + kStep, operands[(k / kStep + 1) % 2]);
      const Operands& now = operands[k / kStep % 2];
#pragma unroll
      for (int i = 0; i < kM / 16; i++) {
#pragma unroll
        for (int j = 0; j < kN / 8; j++) multiply(sum_[i][j], now.a[i], now.b[j]);
      }
    }
  }

 private:
  float sum_[kM / 16][kN / 8][4] = {};
};

template <int kM, int kN>
class WarpProduct<Math::bf16, kM, kN> : public MmaSums<kM, kN> {
  using Operands = typename MmaSums<kM, kN>::Operands;

 public:
  template <class TileA, class TileB, class Meanwhile>
  __device__ void add(const bf16* a, int m, const bf16* b, int n, const Meanwhile& meanwhile) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    // Where in its 16x16 block the lane's row of an 8x8 matrix lies: the matrices of a step first along m, those of b first along k.
    // ldmatrix reads rows of the tile as it is stored, so within a matrix the lane counts outer indices or depths.
    const int fast = lane / 8 % 2 * 8, slow = lane / 16 * 8, row = lane % 8;
    const auto load = [&](int k, Operands& to) {
#pragma unroll
      for (int i = 0; i < kM / 16; i++) {
        ldmatrix_x4<!TileA::kDepthContiguous>(to.a[i], a + place<TileA>(m + 16 * i + fast, k + slow, row));
      }
#pragma unroll
      for (int j = 0; j < kN / 8; j += 2) {
        uint32_t v[4];
        ldmatrix_x4<!TileB::kDepthContiguous>(v, b + place<TileB>(n + 8 * j + slow, k + fast, row));
        to.b[j][0] = v[0], to.b[j][1] = v[1], to.b[j + 1][0] = v[2], to.b[j + 1][1] = v[3];
      }
    };
    this->template add_steps<TileA::kDepth, 16>(
        load, [](auto& sum, const auto& x, const auto& y) { mma_bf16(sum, x, y); }, meanwhile);
  }

 private:
  template <class Tile>
  static __device__ int place(int outer, int k, int row) {
    return Tile::kDepthContiguous ? Tile::offset(outer + row, k) : Tile::offset(outer, k + row);
  }
};

template <int kM, int kN>
class WarpProduct<Math::tf32, kM, kN> : public MmaSums<kM, kN> {
  using Operands = typename MmaSums<kM, kN>::Operands;

 public:
  template <class TileA, class TileB, class Meanwhile>
  __device__ void add(const float* a, int m, const float* b, int n, const Meanwhile& meanwhile) {
    const auto load = [&](int k, Operands& to) {
#pragma unroll
      for (int i = 0; i < kM / 16; i++) load_blocks<TileA, true>(a, m + 16 * i, k, to.a[i]);
#pragma unroll
      for (int j = 0; j < kN / 8; j += 2) {
        uint32_t v[4];
        load_blocks<TileB, false>(b, n + 8 * j, k, v);
        to.b[j][0] = v[0], to.b[j][1] = v[1], to.b[j + 1][0] = v[2], to.b[j + 1][1] = v[3];
      }
    };
    this->template add_steps<TileA::kDepth, 8>(
        load, [](auto& sum, const auto& x, const auto& y) { mma_tf32(sum, x, y); }, meanwhile);
  }

 private:
  // v = the lane's elements (outer + lane / 4, k + lane % 4) of the four 8x4 blocks of 16 x 8, rounded; the blocks in the order
  // of mma's operand a (first along the outer index) or of two operands b (first along k).
  template <class Tile, bool kOuterFirst>
  static __device__ void load_blocks(const float* tile, int outer, int k, uint32_t (&v)[4]) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    if constexpr (Tile::kDepthContiguous) {
      // To ldmatrix four floats are a row of an 8x8 matrix of 16-bit values, and lanes receive 32 bits.
      const int fast = lane / 8 % 2, slow = lane / 16;
      ldmatrix_x4(v, tile + Tile::offset(outer + (kOuterFirst ? fast : slow) * 8 + lane % 8,
                                         k + (kOuterFirst ? slow : fast) * 4));
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int block_outer = kOuterFirst ? i % 2 : i / 2, block_k = kOuterFirst ? i / 2 : i % 2;
        v[i] =
            std::bit_cast<uint32_t>(tile[Tile::offset(outer + block_outer * 8 + lane / 4, k + block_k * 4 + lane % 4)]);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = to_tf32(std::bit_cast<float>(v[i]));
  }
};

}  // namespace lookalike::gpu
