// How the tiles of a matrix product come from global to shared memory.
//
// An operand is read through a Source: a small struct, passed to the kernel by value, that says where an element lies.
// So one product serves matrices of any transposition and convolutions (which never store their patches):
//
//   struct Source {
//     using Element = float;                      // or bf16: what lies in memory
//     static constexpr bool kDepthContiguous;     // neighbours in memory run along the depth (k), or along the outer index
//     static constexpr int kVector;               // elements of one load along that direction: groups of kVector that
//                                                 // start at multiples of it lie side by side, aligned to their size,
//                                                 // and are all there or all absent. 1 is always right; 16 bytes best.
//     static constexpr bool kLanesAlongOuter;     // optional, for kDepthContiguous and kVector 1: the lanes of a warp
//                                                 // take neighbours in the outer index (default: in depth)
//     int outer_size, depth_size;                 // at() is called below these alone
//     struct Outer; struct Depth;                 // what can be computed once for an outer index and once for a depth:
//     __device__ Outer outer(int index) const;    //   a thread calls outer() once per tile of the result
//     __device__ Depth depth(int k) const;        //   and depth() once per k of its own
//     __device__ const Element* at(const Outer&, const Depth&) const;   // null where the element, or group, is zero
//   };
//
// In shared memory a tile keeps the order of global memory: [outer][depth] or [depth][outer]; its rows are swizzled, or a
// little longer than their elements, so that the reads of gemm_multiply.h meet no bank conflicts (explained there).
#pragma once

#include <type_traits>

#include "kernels/gpu/copy.h"

namespace lookalike::gpu {

// A row-major matrix as an operand: [outer][depth] or [depth][outer], as kDepthContiguous says.
template <class T, bool kDepthContiguous_, int kVector_>
struct MatrixSource {
  using Element = T;
  static constexpr bool kDepthContiguous = kDepthContiguous_;
  static constexpr int kVector = kVector_;

  const T* data;
  int outer_size, depth_size;

  // Along the contiguous direction an index, across it a pointer to the row; with loads of single elements a thread has many
  // outer indices, and the index takes half the registers.
  static constexpr bool kOuterPointer = kDepthContiguous && kVector > 1;
  struct Index {
    int index;
  };
  struct Row {
    const T* row;
  };
  using Outer = std::conditional_t<kOuterPointer, Row, Index>;
  using Depth = Index;
  __device__ Outer outer(int index) const {
    if constexpr (kOuterPointer)
      return {data + int64_t{index} * depth_size};
    else
      return {index};
  }
  __device__ Depth depth(int k) const { return {k}; }
  __device__ const T* at(Outer outer, Depth depth) const {
    if constexpr (kOuterPointer)
      return outer.row + depth.index;
    else if constexpr (kDepthContiguous)
      return data + (int64_t{outer.index} * depth_size + depth.index);
    else
      return data + (int64_t{depth.index} * outer_size + outer.index);
  }
};

template <class Source>
constexpr bool lanes_along_outer() {
  if constexpr (!Source::kDepthContiguous)
    return true;
  else if constexpr (requires { Source::kLanesAlongOuter; })
    return Source::kLanesAlongOuter;
  else
    return false;
}

// The layout of one operand's tile in shared memory. With kInterleave > 0 the rows of an [outer][depth] tile are permuted
// in groups of 4 * kInterleave, so that lane i finds its four outer indices 4 i ... 4 i + 3 in rows i, i + kInterleave, ...
// Without, and with loads of 16 bytes, the four 16-byte pieces of a row change places by bits 1 and 2 of the outer index: eight
// lanes then fall on all 32 banks when they store two rows and when they read one piece each of eight (ldmatrix).
// A sum of two outer indices lies at the sum of their offsets where the first is below a power of two from 8 on, and the
// second a multiple of it; so both the copies and the reads step by constants.
template <class Source, int kOuter_, int kDepth_, int kInterleave>
struct SharedTile {
  using Element = typename Source::Element;
  static constexpr bool kDepthContiguous = Source::kDepthContiguous;
  static constexpr int kOuter = kOuter_, kDepth = kDepth_;
  // In elements.
  static constexpr int kPiece = 16 / static_cast<int>(sizeof(Element));
  static constexpr bool kSwizzled = kDepthContiguous && kInterleave == 0 && Source::kVector == kPiece;
  static constexpr int kStride = kSwizzled ? kDepth : kDepthContiguous ? kDepth + kPiece : kOuter + 8;
  static constexpr int kSize = kStride * (kDepthContiguous ? kOuter : kDepth);
  static constexpr int kBytes = kSize * static_cast<int>(sizeof(Element));
  static_assert(kBytes % 16 == 0 && (!kSwizzled || kDepth == 4 * kPiece));

  static constexpr __device__ int offset(int outer, int depth) {
    if constexpr (!kDepthContiguous) return depth * kStride + outer;
    if constexpr (kSwizzled) depth ^= (outer >> 1 & 3) * kPiece;
    if constexpr (kInterleave > 0) {
      constexpr int kGroup = 4 * kInterleave;
      static_assert((kGroup & (kGroup - 1)) == 0);
      outer = outer / kGroup * kGroup + outer % 4 * kInterleave + outer % kGroup / 4;
    }
    return outer * kStride + depth;
  }
};

// One thread's part in copying the tiles of one operand.
template <class Source, class Tile, int kThreads>
class TileLoader {
  using Element = typename Source::Element;
  static constexpr int kVector = Source::kVector;
  static constexpr int kBytes = kVector * static_cast<int>(sizeof(Element));
  static constexpr bool kAsync = kBytes >= 4;  // cp.async cannot copy two bytes: those go through registers
  static constexpr bool kAlongOuter = lanes_along_outer<Source>();
  static_assert(kBytes == 2 || kBytes == 4 || kBytes == 8 || kBytes == 16);
  static_assert(kVector == 1 || kAlongOuter == !Source::kDepthContiguous);

  // Groups side by side in the direction of the lanes; the block copies kStep rows of them at a time.
  static constexpr int kRow = (kAlongOuter ? Tile::kOuter : Tile::kDepth) / kVector;
  static constexpr int kStep = kThreads / kRow;
  static constexpr int kPasses = (kAlongOuter ? Tile::kDepth : Tile::kOuter) / kStep;
  static_assert(kThreads % kRow == 0 &&
                kStep >= (kAlongOuter       ? 1
                          : Tile::kSwizzled ? 8
                                            : 4) &&
                (kStep & (kStep - 1)) == 0 && kPasses > 0);

 public:
  __device__ TileLoader(const Source& source, int outer_begin) {
    const int lane = static_cast<int>(threadIdx.x) % kRow * kVector;
    const int row = static_cast<int>(threadIdx.x) / kRow;
    depth_ = kAlongOuter ? row : lane;
    outer_ = kAlongOuter ? lane : row;
    offset_ = Tile::offset(outer_, depth_);
#pragma unroll
    for (int i = 0; i < kOuters; i++) {
      const int index = outer_begin + outer_ + i * kStep;
      inside_[i] = index < source.outer_size;
      if (inside_[i]) state_[i] = source.outer(index);
    }
  }

  // From one pass to the next.
  static constexpr __device__ int pass_offset(int i) {
    return kAlongOuter ? Tile::offset(0, i * kStep) : Tile::offset(i * kStep, 0);
  }

  // Starts to copy the tile that begins at depth k; what lies at `end` and beyond is zero. The copies belong to the
  // thread's next cp.async group, except those that wait in registers for finish().
  __device__ void start(const Source& source, int k, int end, Element* tile) {
    if constexpr (kAlongOuter) {
#pragma unroll
      for (int i = 0; i < kPasses; i++) {
        const int depth = depth_ + i * kStep;
        const bool valid = inside_[0] && k + depth < end;
        copy(i, valid ? source.at(state_[0], source.depth(k + depth)) : nullptr, tile + offset_ + pass_offset(i));
      }
    } else {
      const bool valid = k + depth_ < end;
      const typename Source::Depth depth = source.depth(k + depth_);
#pragma unroll
      for (int i = 0; i < kPasses; i++) {
        copy(i, valid && inside_[i] ? source.at(state_[i], depth) : nullptr, tile + offset_ + pass_offset(i));
      }
    }
  }

  // Stores what start() left in registers.
  __device__ void finish(Element* tile) {
    if constexpr (!kAsync) {
#pragma unroll
      for (int i = 0; i < kPasses; i++) tile[offset_ + pass_offset(i)] = held_[i];
    }
  }

 private:
  __device__ void copy(int i, const Element* from, Element* to) {
    if constexpr (kAsync)
      cp_async<kBytes>(to, from, from != nullptr);
    else
      held_[i] = {load_or_zero(reinterpret_cast<const uint16_t*>(from))};
  }

  static constexpr int kOuters = kAlongOuter ? 1 : kPasses;
  int depth_, outer_, offset_;  // of the thread's first group in a tile
  bool inside_[kOuters];
  typename Source::Outer state_[kOuters];
  Element held_[kAsync ? 1 : kPasses];
};

}  // namespace lookalike::gpu
