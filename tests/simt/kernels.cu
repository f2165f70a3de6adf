// Small wrong kernels, one for each kind of mistake, and their right twins.
#include "kernels/gpu/copy.h"
#include "kernels/gpu/mma.h"
#include "tests/simt/kernels.h"

namespace lookalike::testing {
namespace {

using gpu::kAllLanes;

// Every thread reads what its neighbour wrote.
template <bool kRight>
__global__ void read_after_write(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  values[threadIdx.x] = 0;
  __syncthreads();
  values[threadIdx.x] = x[threadIdx.x];
  if constexpr (kRight) __syncthreads();
  y[threadIdx.x] = values[(threadIdx.x + 1) % 64];
}

// The same, and then a second round in the same array.
template <bool kRight>
__global__ void write_after_read(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  values[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const float first = values[(threadIdx.x + 1) % 64];
  if constexpr (kRight) __syncthreads();
  values[threadIdx.x] = first;
  __syncthreads();
  y[threadIdx.x] = values[(threadIdx.x + 1) % 64];
}

// Every thread counts, and reads how many have.
template <bool kRight>
__global__ void read_after_atomic(const float*, float* y) {
  LOOKALIKE_SHARED(int, count, [1]);
  if (threadIdx.x == 0) count[0] = 0;
  __syncthreads();
  atomicAdd(&count[0], 1);
  if constexpr (kRight) __syncthreads();
  y[threadIdx.x] = static_cast<float>(count[0]);
}

template <bool kRight>
__global__ void uninitialised(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  if (kRight || threadIdx.x != 5) values[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

template <bool kRight>
__global__ void divergent_barrier(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  values[threadIdx.x] = x[threadIdx.x];
  if (kRight || threadIdx.x < 40) __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

// Two barriers that threads of one block meet at the same time.
template <bool kRight>
__global__ void two_barriers(const float* x, float* y) {
  const float value = x[threadIdx.x];
  if constexpr (kRight) {
    __syncthreads();
  } else {
    if (threadIdx.x < 32)
      __syncthreads();
    else
      __syncthreads();
  }
  y[threadIdx.x] = value;
}

template <bool kRight>
__global__ void two_barriers_of_a_line(const float* x, float* y) {
  kRight || threadIdx.x < 32 ? __syncthreads() : __syncthreads();
  y[threadIdx.x] = x[threadIdx.x];
}

template <bool kRight>
__global__ void exited_lane(const float* x, float* y) {
  if (!kRight && threadIdx.x == 7) return;
  y[threadIdx.x] = __shfl_xor_sync(kAllLanes, x[threadIdx.x], 1);
}

template <bool kRight>
__global__ void lane_not_in_mask(const float* x, float* y) {
  const float value = x[threadIdx.x];
  float other = value;
  if (threadIdx.x < 16) other = __shfl_sync(0xffffu, value, kRight ? 15 : 16);
  y[threadIdx.x] = other;
}

template <bool kRight>
__global__ void outside_buffer(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x + (kRight ? 0 : 1)];
}

template <bool kRight>
__global__ void not_aligned(const float* x, float* y) {
  const float* const from = x + 4 * (threadIdx.x % 8) + (kRight ? 0 : 1);
  const float4 values = *reinterpret_cast<const float4*>(from);
  y[threadIdx.x] = values.x + values.y + values.z + values.w;
}

// The emulator is to find it, not the sanitizer.
template <bool kRight>
__attribute__((no_sanitize("bounds"))) __global__ void outside_shared(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  LOOKALIKE_SHARED(float, more, [64]);
  values[threadIdx.x] = more[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x + (kRight ? 0 : 1)] + more[threadIdx.x];
}

template <bool kRight>
__global__ void two_blocks(const float* x, float* y) {
  if (kRight ? blockIdx.x == 0 : threadIdx.x == 0 || blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];
}

// A block reads what another one writes in the same launch.
template <bool kRight>
__global__ void read_of_another_block(const float* x, float* y) {
  if (blockIdx.x == 0) y[threadIdx.x] = x[threadIdx.x];
  if (!kRight && blockIdx.x == 1) y[64 + threadIdx.x] = y[threadIdx.x];
}

template <bool kRight>
__global__ void missing_wait(const float* x, float* y) {
  LOOKALIKE_SHARED(float4, values, [16]);
  if (threadIdx.x < 16) gpu::cp_async<16>(&values[threadIdx.x], x + 4 * threadIdx.x);
  gpu::cp_async_commit();
  if constexpr (kRight) gpu::cp_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x / 4].x;
}

// The wait leaves the last group under way, and it is the last group that is read.
template <bool kRight>
__global__ void wait_for_too_few(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [2][64]);
  for (int i = 0; i < 2; i++) {
    gpu::cp_async<4>(&values[i][threadIdx.x], x + threadIdx.x);
    gpu::cp_async_commit();
  }
  if constexpr (kRight)
    gpu::cp_async_wait<0>();
  else
    gpu::cp_async_wait<1>();
  __syncthreads();
  y[threadIdx.x] = values[1][63 - threadIdx.x];
}

template <bool kRight>
__global__ void missing_syncwarp(const float* x, float* y) {
  LOOKALIKE_SHARED(float, values, [64]);
  values[threadIdx.x] = 0;
  __syncthreads();
  values[threadIdx.x] = x[threadIdx.x];
  if constexpr (kRight) __syncwarp();
  y[threadIdx.x] = values[threadIdx.x ^ 1];
}

__global__ void too_much_shared(const float*, float*) {
  LOOKALIKE_DYNAMIC_SHARED(float, values);
  values[threadIdx.x] = 0;
}

// One warp: loads with a gap of `stride`, and a column of a matrix in shared memory with rows of kRow floats.
template <int kRow>
__global__ void stride_kernel(int stride, const float* x, float* y) {
  LOOKALIKE_SHARED(float, tile, [32 * kRow]);
  const int lane = static_cast<int>(threadIdx.x);
  tile[lane * kRow] = x[lane * stride];
  __syncthreads();
  y[lane] = tile[lane * kRow];
}

// One warp: everything that lanes say to each other.
__global__ void talk(const float* x, float* y) {
  const int lane = static_cast<int>(threadIdx.x);
  float* const to = y + 8 * lane;
  to[0] = __shfl_sync(kAllLanes, x[lane], (lane + 3) % 32);
  to[1] = __shfl_xor_sync(kAllLanes, x[lane], 5);
  to[2] = __shfl_down_sync(kAllLanes, x[lane], 4);
  to[3] = __shfl_up_sync(kAllLanes, x[lane], 4);
  to[4] = static_cast<float>(__popc(__ballot_sync(kAllLanes, lane % 3 == 0)));
  to[5] = static_cast<float>(__any_sync(kAllLanes, lane == 9) + 2 * __all_sync(kAllLanes, lane == 9));
  to[6] = static_cast<float>(__shfl_xor_sync(kAllLanes, static_cast<double>(lane) * 1e9, 1) / 1e9);
  to[7] = static_cast<float>(__syncthreads_count(lane < 10));
}

// d[16][8] = a[16][K] b[8][K]^T with one instruction; ldmatrix brings a in bf16.
template <bool kBf16>
__global__ void multiply(const float* a, const float* b, float* d) {
  const int lane = static_cast<int>(threadIdx.x), group = lane / 4, place = lane % 4;
  float sums[4] = {};
  if constexpr (kBf16) {
    LOOKALIKE_SHARED(bf16, rows, [16][16]);
    for (int i = lane; i < 256; i += 32) rows[i / 16][i % 16] = to_bf16(a[i]);
    __syncwarp();
    uint32_t ra[4], rb[2];
    gpu::ldmatrix_x4(ra, &rows[lane % 16][lane / 16 * 8]);
    for (int i = 0; i < 2; i++) {
      rb[i] = gpu::pack_bf16(b[group * 16 + 2 * place + 8 * i], b[group * 16 + 2 * place + 1 + 8 * i]);
    }
    gpu::mma_bf16(sums, ra, rb);
  } else {
    const uint32_t ra[4] = {gpu::to_tf32(a[group * 8 + place]), gpu::to_tf32(a[(group + 8) * 8 + place]),
                            gpu::to_tf32(a[group * 8 + place + 4]), gpu::to_tf32(a[(group + 8) * 8 + place + 4])};
    const uint32_t rb[2] = {gpu::to_tf32(b[group * 8 + place]), gpu::to_tf32(b[group * 8 + place + 4])};
    gpu::mma_tf32(sums, ra, rb);
  }
  for (int i = 0; i < 4; i++) d[(group + i / 2 * 8) * 8 + 2 * place + i % 2] = sums[i];
}

}  // namespace

const std::vector<Mistake>& mistakes() {
#define MISTAKE(kernel, blocks, says) \
  { #kernel, says, blocks, kernel < false>, kernel < true> }
  static const std::vector<Mistake> all{
      MISTAKE(read_after_write, 1, "at the same time"),
      MISTAKE(write_after_read, 1, "at the same time"),
      MISTAKE(read_after_atomic, 1, "at the same time"),
      MISTAKE(uninitialised, 1, "reads shared memory that nobody wrote"),
      MISTAKE(divergent_barrier, 1, "threads have ended"),
      MISTAKE(two_barriers, 1, "no thread can go on"),
      MISTAKE(two_barriers_of_a_line, 1, "no thread can go on"),
      MISTAKE(exited_lane, 1, "whose lane 7 has ended"),
      MISTAKE(lane_not_in_mask, 1, "reads lane 16, which is not in its mask"),
      MISTAKE(outside_buffer, 1, "of a buffer of 256 bytes"),
      MISTAKE(not_aligned, 1, "reads 16 bytes where they are not aligned"),
      MISTAKE(outside_shared, 1, "outside of every array, behind values"),
      MISTAKE(two_blocks, 2, "another block"),
      MISTAKE(read_of_another_block, 2, "another block"),
      MISTAKE(missing_wait, 1, "that a cp.async has not brought yet"),
      MISTAKE(wait_for_too_few, 1, "that a cp.async has not brought yet"),
      MISTAKE(missing_syncwarp, 1, "at the same time"),
  };
#undef MISTAKE
  return all;
}

void run(void (*kernel)(const float*, float*), int blocks, const float* x, float* y) {
  gpu::launch({"test kernel", dim3(static_cast<unsigned>(blocks)), dim3(64), gpu::compute_stream()}, kernel, x, y);
}
void run_too_much_shared(const float* x, float* y, int64_t bytes) {
  gpu::launch({"too_much_shared", dim3(1), dim3(32), gpu::compute_stream(), static_cast<size_t>(bytes)},
              too_much_shared, x, y);
}
void run_talk(const float* x, float* y) {
  gpu::launch({"talk", dim3(1), dim3(32), gpu::compute_stream()}, talk, x, y);
}
void run_strides(int stride, int row, const float* x, float* y) {
  const gpu::Launch how{"strides", dim3(1), dim3(32), gpu::compute_stream()};
  gpu::launch(how, row == 1 ? stride_kernel<1> : row == 32 ? stride_kernel<32> : stride_kernel<33>, stride, x, y);
}
void run_multiply(bool bf16, const float* a, const float* b, float* d) {
  gpu::launch({"multiply", dim3(1), dim3(32), gpu::compute_stream()}, bf16 ? multiply<true> : multiply<false>, a, b, d);
}

}  // namespace lookalike::testing
