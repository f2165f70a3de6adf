// Bound by memory: SGD with momentum reads w, g, m and writes w, m (20 bytes an element), Adam also reads and writes v (28).
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/tensor_table.h"
#include "kernels/optimizer_step.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256;

struct Sgd {
  static constexpr bool kSecondMoment = false;
  float rate, momentum;

  __device__ bool first_moment() const { return momentum != 0; }
  __device__ void operator()(float& w, float g, float& m, float&, float decay, float share) const {
    g += decay * w;
    if (momentum != 0) g = m = momentum * m + g;
    w -= share * rate * g;
  }
};

struct Adam {
  static constexpr bool kSecondMoment = true;
  float rate;  // divided by 1 - beta1^t
  float beta1, beta2;
  float take1, take2;  // 1 - beta, which float would round badly
  float v_scale;       // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float decay_rate, decay_share;  // one is 0: AdamW's decay is of the weight, Adam's goes through the gradient

  __device__ bool first_moment() const { return true; }
  __device__ void operator()(float& w, float g, float& m, float& v, float decay, float share) const {
    g += decay_share * decay * w;
    m = beta1 * m + take1 * g;
    v = beta2 * v + take2 * g * g;
    w = (1 - share * decay_rate * decay) * w - share * rate * m / (sqrtf(v) * v_scale + epsilon);
  }
};

template <int kWidth, class Step>
__device__ void update(const Step& step, const StepTensor<float>& tensor, float factor, int64_t i) {
  const bool first_moment = step.first_moment();
  auto w = gpu::load<kWidth>(tensor.w + i);
  const auto g = gpu::load<kWidth>(tensor.g + i);
  gpu::Pack<float, kWidth> m{}, v{};
  if (first_moment) m = gpu::load<kWidth>(tensor.m + i);
  if constexpr (Step::kSecondMoment) v = gpu::load<kWidth>(tensor.v + i);
#pragma unroll
  for (int j = 0; j < kWidth; j++) {
    step(w.x[j], factor * g.x[j], m.x[j], v.x[j], static_cast<float>(tensor.decay), static_cast<float>(tensor.rate));
  }
  gpu::store(tensor.w + i, w);
  if (first_moment) gpu::store(tensor.m + i, m);
  if constexpr (Step::kSecondMoment) gpu::store(tensor.v + i, v);
}

template <class Step, class Table>
__global__ void __launch_bounds__(kThreads)
    step_kernel(const __grid_constant__ Table table, Step step, const float* gradient_factor) {
  const int chunk = static_cast<int>(blockIdx.x), which = table.find(chunk);
  const StepTensor<float>& tensor = table.tensors[which];
  const int64_t begin = (chunk - table.first_chunk[which]) * gpu::kTableChunk;
  const int64_t end = min(begin + gpu::kTableChunk, tensor.size);
  const float factor = gradient_factor != nullptr ? *gradient_factor : 1;
  const uintptr_t addresses = reinterpret_cast<uintptr_t>(tensor.w) | reinterpret_cast<uintptr_t>(tensor.g) |
                              reinterpret_cast<uintptr_t>(tensor.m) | reinterpret_cast<uintptr_t>(tensor.v);
  const int64_t wide = addresses % 16 == 0 ? begin + (end - begin) / 4 * 4 : begin;
  for (int64_t i = begin + 4 * threadIdx.x; i < wide; i += 4 * kThreads) update<4>(step, tensor, factor, i);
  for (int64_t i = wide + threadIdx.x; i < end; i += kThreads) update<1>(step, tensor, factor, i);
}

template <class Step>
void run(const char* name, const Step& step, std::span<const StepTensor<float>> tensors, const float* gradient_factor,
         gpu::Stream stream) {
  gpu::for_tables(tensors, [&](const auto& table, int chunks) {
    using Table = std::decay_t<decltype(table)>;
    gpu::launch({name, dim3(static_cast<unsigned>(chunks)), dim3(kThreads), stream}, step_kernel<Step, Table>, table,
                step, gradient_factor);
  });
}

}  // namespace

void sgd_step(const SgdParams& p, std::span<const StepTensor<float>> tensors, const float* gradient_factor,
              gpu::Stream stream) {
  run("sgd_step", Sgd{static_cast<float>(p.rate), static_cast<float>(p.momentum)}, tensors, gradient_factor, stream);
}

void adam_step(const AdamParams& p, std::span<const StepTensor<float>> tensors, const float* gradient_factor,
               gpu::Stream stream) {
  const double t = static_cast<double>(p.step);
  run("adam_step",
      Adam{.rate = static_cast<float>(p.rate / (1 - std::pow(p.beta1, t))),
           .beta1 = static_cast<float>(p.beta1),
           .beta2 = static_cast<float>(p.beta2),
           .take1 = static_cast<float>(1 - p.beta1),
           .take2 = static_cast<float>(1 - p.beta2),
           .v_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(p.beta2, t))),
           .epsilon = static_cast<float>(p.epsilon),
           .decay_rate = static_cast<float>(p.decoupled ? p.rate : 0),
           .decay_share = p.decoupled ? 0.0f : 1.0f},
      tensors, gradient_factor, stream);
}

}  // namespace lookalike::cuda
