// Times the GPU kernels by themselves, with events, on the shapes of siamese_cnn, convnet_bn, the 128x128 autoencoder and
// ResNet50: ms, GB/s of the bytes and TFLOP/s of the operations that the work needs, and the share of ceilings that the
// same run measures: a copy on the device, and cuBLAS's best product where libcublas can be loaded. Beside products stand
// cuBLAS's, beside convolutions cuDNN's (with the casts between its bf16 weights and our float ones), where they can be
// loaded; "to peer" is how many times as fast ours are. Convolutions and products, the peers' too, are verified first: the
// three passes must be each other's adjoints. Buffers of products, convolutions and memory-bound kernels rotate, so that none is in the cache
// from the last call.
//
//   gpu_bench [--only TEXT] [--json FILE] [--tiny]      --tiny: little sizes, once each: that everything runs
//
// On the emulator, which tells no times, sizes are little and it prints how the kernels use memory instead: bytes that the work
// needs and bytes moved, in sectors of 32; coalescing, the fewest possible sectors among those moved; banks, the fewest
// possible passes through shared memory among those made. Less than kLeastShare of either is an error, unless kScattered
// names it.
#include "bench/gpu_bench.h"

#include <CLI/CLI.hpp>

#include "kernels/cast.h"
#include "kernels/conv2d.h"
#include "kernels/gpu/cudnn.h"
#include "kernels/gpu/shared_library.h"
#include "kernels/matmul.h"

namespace lookalike {
namespace {

// cuBLAS without its headers or a link to it; the constants are those of its public interface.
class Cublas {
 public:
  Cublas() {
    const auto create = library_.function<int(void**)>("cublasCreate_v2");
    const auto set_stream = library_.function<int(void*, gpu::Stream)>("cublasSetStream_v2");
    gemm_ = library_.function<Gemm>("cublasGemmEx");
    if (!library_.why_not().empty()) return;
    if (create(&handle_) != 0 || set_stream(handle_, gpu::compute_stream()) != 0) handle_ = nullptr;
  }
  bool found() const { return handle_ != nullptr; }
  // c[m,n] = a[m,k] b[n,k]^T, row-major.
  template <class T>
  void product_nt(int m, int n, int k, const T* a, const T* b, T* c, bool tf32) const {
    constexpr int kNone = 0, kTransposed = 1, kFloat = 0, kBf16 = 14, kCompute = 68, kComputeTf32 = 77;
    const float one = 1, zero = 0;
    const int type = sizeof(T) == 2 ? kBf16 : kFloat;
    const int status = gemm_(handle_, kTransposed, kNone, n, m, k, &one, b, type, k, a, type, k, &zero, c, type, n,
                             tf32 ? kComputeTf32 : kCompute, -1);
    check(status == 0, "cublasGemmEx: status {}", status);
  }

 private:
  using Gemm = int(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,
                   const void*, void*, int, int, int, int);
  gpu::SharedLibrary library_{"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
  void* handle_ = nullptr;
  Gemm* gemm_ = nullptr;
};

struct Product {
  int64_t m, n, k;
};

template <class T>
void bench_product(Bench& bench, const Cublas& cublas, const Product& p, bool tf32) {
  const auto [m, n, k] = p;
  const std::string shape = fmt::format("{}x{}x{}", m, n, k), precision = precision_name<T>(tf32);
  if (!bench.wants("matmul " + shape)) return;
  const double md = static_cast<double>(m), nd = static_cast<double>(n), kd = static_cast<double>(k);
  const double bytes = kSize<T> * (md * kd + md * nd) + 4 * nd * kd, flops = 2 * md * nd * kd;
  std::vector<Call> nt, nn, tn, peer;
  double error = 0;
  for (int i = 0; i < bench.sets(bytes); i++) {
    const auto a = random_array<T>(m * k), c = random_array<T>(m * n);
    const auto b = random_array<float>(n * k), dw = random_array<float>(n * k);
    const auto da = random_array<T>(m * k), low = random_array<T>(n * k), ours = random_array<T>(m * n);
    const auto work = std::make_shared<Array<T>>(std::max(
        {cuda::matmul_workspace<T>(m, n, k), cuda::matmul_workspace<T>(m, k, n), cuda::matmul_workspace<T>(n, k, m)}));
    nt.push_back([=](gpu::Stream on) {
      cuda::matmul_nt<T>(m, n, k, a->data(), b->data(), nullptr, {}, tf32, ours->data(), work->data(), on);
    });
    nn.push_back(
        [=](gpu::Stream on) { cuda::matmul_nn<T>(m, k, n, c->data(), b->data(), tf32, da->data(), work->data(), on); });
    tn.push_back(
        [=](gpu::Stream on) { cuda::matmul_tn<T>(n, k, m, c->data(), a->data(), tf32, dw->data(), work->data(), on); });
    if (cublas.found()) {
      peer.push_back([=, &cublas](gpu::Stream) {
        cublas.product_nt<T>(static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), a->data(), low->data(),
                             ours->data(), tf32);
      });
    }
    if (i > 0) continue;
    // <c, a b^T> = <c b, a> = <c^T a, b>
    nt[0](gpu::compute_stream()), nn[0](gpu::compute_stream()), tn[0](gpu::compute_stream());
    const auto cs = read(*c), as = read(*a), bs = read(*b), out = read(*ours);
    const double norm = std::sqrt(inner(cs, cs) * inner(out, out)), first = inner(cs, out);
    error = std::max(std::abs(inner(read(*da), as) - first), std::abs(inner(read(*dw), bs) - first)) / norm;
  }
  double peer_ms = 0;
  if (!peer.empty()) {
    bench.set_peak(precision, bench.time(peer), flops);
    peer_ms = bench.add("cublas matmul_nt " + shape, precision, bytes, flops, peer);
  }
  bench.add("matmul_nt " + shape, precision, bytes, flops, nt, error, peer_ms);
  bench.add("matmul_nn " + shape, precision, bytes, flops, nn, error);
  bench.add("matmul_tn " + shape, precision, bytes, flops, tn, error);
}

struct NamedConv {
  const char* name;
  Conv2dParams p;
};

struct ConvCalls {
  std::vector<Call> forward, data, weights;
  double error = 0;
};

template <class T>
void bench_conv(Bench& bench, const NamedConv& conv, bool tf32) {
  Conv2dParams p = conv.p;
  p.tf32 = tf32;
  if (bench.tiny) p.batch = 1, p.in_h = p.in_w = 16;
  const std::string precision = precision_name<T>(tf32), name = std::string("conv ") + conv.name;
  if (!bench.wants(name)) return;
  const int64_t xs = p.batch * p.in_h * p.in_w * p.in_c, ys = p.batch * p.out_h() * p.out_w() * p.out_c;
  const int64_t ws = p.out_c * p.kernel_h * p.kernel_w * p.in_c;
  const double bytes = kSize<T> * static_cast<double>(xs + ys) + 4. * static_cast<double>(ws);
  const double flops = 2. * static_cast<double>(ys) * static_cast<double>(ws / p.out_c);
  ConvCalls ours, peer;
  const auto work_for = [](const Conv2dParams& q) {
    const Conv2dWorkspace need = cuda::conv2d_workspace<T>(q);
    return std::make_shared<Array<T>>(std::max({need.forward, need.backward_data, need.backward_weights, int64_t{1}}));
  };
  const auto our_work = work_for(p);
  Conv2dParams peer_p = p;
  std::shared_ptr<Array<T>> peer_work;
  if (cudnn::why_not().empty()) {
    peer_p.cudnn = true;
    try {
      peer_work = work_for(peer_p);
    } catch (const gpu::Failure& failure) {
      fmt::print("cudnn {} {}: skipped: {}\n", name, precision, failure.what());
    }
  }
  for (int i = 0; i < bench.sets(bytes); i++) {
    const auto x = random_array<T>(xs), dz = random_array<T>(ys), y = std::make_shared<Array<T>>(ys);
    const auto dx = std::make_shared<Array<T>>(xs);
    const auto w = random_array<float>(ws), dw = std::make_shared<Array<float>>(ws);
    const auto add = [&](ConvCalls& calls, const Conv2dParams& q, const std::shared_ptr<Array<T>>& work) {
      calls.forward.push_back([=](gpu::Stream on) {
        cuda::conv2d_forward<T>(q, x->data(), w->data(), nullptr, y->data(), nullptr, {}, work->data(), on);
      });
      calls.data.push_back([=](gpu::Stream on) {
        cuda::conv2d_backward_data<T>(q, dz->data(), w->data(), dx->data(), work->data(), on);
      });
      calls.weights.push_back([=](gpu::Stream on) {
        cuda::conv2d_backward_weights<T>(q, x->data(), dz->data(), dw->data(), work->data(), on);
      });
      if (i > 0) return;
      // <dz, conv(x, w)> = <dx, x> = <dw, w>
      const gpu::Stream on = gpu::compute_stream();
      calls.forward[0](on), calls.data[0](on), calls.weights[0](on);
      const auto dzs = read(*dz), out = read(*y);
      const double norm = std::sqrt(inner(dzs, dzs) * inner(out, out)), first = inner(dzs, out);
      calls.error =
          std::max(std::abs(inner(read(*dx), read(*x)) - first), std::abs(inner(read(*dw), read(*w)) - first)) / norm;
    };
    add(ours, p, our_work);
    if (peer_work) add(peer, peer_p, peer_work);
  }
  for (const auto& [pass, calls] :
       {std::pair("forward", &ConvCalls::forward), {"data", &ConvCalls::data}, {"weights", &ConvCalls::weights}}) {
    const std::string row = name + " " + pass;
    double peer_ms = 0;
    if (peer_work) peer_ms = bench.add("cudnn " + row, precision, bytes, flops, peer.*calls, peer.error);
    bench.add(row, precision, bytes, flops, ours.*calls, ours.error, peer_ms);
  }
}

void run_all(Bench& bench) {
  const Cublas cublas;
  if (!cublas.found()) fmt::print("cuBLAS: not found, shares of products are of the copy bandwidth alone\n");
  const std::string no_cudnn = cudnn::why_not();
  if (!no_cudnn.empty()) fmt::print("cuDNN: {}: convolutions have no peer\n", no_cudnn);
  // The large one comes first: it sets the ceiling.
  std::vector<Product> products{{8192, 8192, 8192}, {4096, 4096, 4096}, {64, 128, 32768},
                                {128, 128, 128},    {64, 1000, 2048},   {1, 128, 32768}};
  if (bench.tiny) products = {{128, 128, 64}, {33, 20, 40}};
  for (const Product& p : products) {
    bench_product<float>(bench, cublas, p, false);
    bench_product<float>(bench, cublas, p, true);
    bench_product<bf16>(bench, cublas, p, false);
  }
  for (const NamedConv& c : std::initializer_list<NamedConv>{{"siamese_cnn 1", conv(64, 64, 3, 64, 5)},
                                                             {"siamese_cnn 2", conv(64, 32, 64, 128, 3)},
                                                             {"convnet_bn 2", conv(128, 64, 32, 32, 3)},
                                                             {"convnet_bn 4", conv(128, 32, 64, 64, 3)},
                                                             {"convnet_bn 6", conv(128, 16, 128, 128, 3)},
                                                             {"autoencoder 2", conv(32, 128, 16, 8, 3)},
                                                             {"resnet50 stem", conv(64, 224, 3, 64, 7, 2)},
                                                             {"resnet50 56 3x3", conv(64, 56, 64, 64, 3)},
                                                             {"resnet50 56 1x1", conv(64, 56, 64, 256, 1)},
                                                             {"resnet50 28 3x3", conv(64, 28, 128, 128, 3)},
                                                             {"resnet50 14 3x3", conv(64, 14, 256, 256, 3)},
                                                             {"resnet50 7 3x3", conv(64, 7, 512, 512, 3)}}) {
    if (bench.tiny && c.p.in_c > 64) continue;
    bench_conv<float>(bench, c, false);
    bench_conv<float>(bench, c, true);
    bench_conv<bf16>(bench, c, false);
  }
  bench_memory<float>(bench);
  bench_memory<bf16>(bench);
  bench_depthwise<float>(bench);
  bench_depthwise<bf16>(bench);
  bench_losses(bench);
  bench_top_k(bench);
  bench_optimizers(bench);
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times the GPU kernels by themselves");
  std::string only, json;
  bool tiny = false;
  app.add_option("--only", only, "Kernels whose name contains this");
  app.add_option("--json", json, "Write the results to this file");
  app.add_flag("--tiny", tiny, "Little sizes, once each: only that everything runs");
  CLI11_PARSE(app, argc, argv);
  try {
    if (!lookalike::gpu::available()) {
      fmt::print("skipped: {}\n", lookalike::gpu::why_not());
      return 0;
    }
    lookalike::Bench bench(only, json, tiny);
    lookalike::run_all(bench);
  } catch (const std::exception& error) {
    fmt::print(stderr, "gpu_bench: {}\n", error.what());
    return 1;
  }
}
