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
#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "kernels/accumulate.h"
#include "kernels/add.h"
#include "kernels/barlow_twins.h"
#include "kernels/batch_norm.h"
#include "kernels/cast.h"
#include "kernels/conv2d.h"
#include "kernels/fill.h"
#include "kernels/gather_rows.h"
#include "kernels/gpu/cudnn.h"
#include "kernels/gpu/shared_library.h"
#include "kernels/grad_norm.h"
#include "kernels/image_batch.h"
#include "kernels/l2_normalize.h"
#include "kernels/matmul.h"
#include "kernels/nt_xent.h"
#include "kernels/optimizer_step.h"
#include "kernels/pair_features.h"
#include "kernels/pointwise_loss.h"
#include "kernels/pool2d.h"
#include "kernels/softmax_cross_entropy.h"
#include "kernels/top_k.h"
#include "kernels/triplet.h"
#ifdef LOOKALIKE_SIMT
#include "kernels/simt/counts.h"
#endif

namespace lookalike {
namespace {

template <class T>
class Array {
 public:
  explicit Array(int64_t size) : size_(size) {
    memory_ = static_cast<T*>(gpu::allocate(size * sizeof(T), gpu::compute_stream()));
  }
  ~Array() { gpu::release(memory_, gpu::compute_stream()); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() const { return memory_; }
  int64_t size() const { return size_; }

 private:
  int64_t size_;
  T* memory_;
};

// Standard normal numbers times `scale`; long arrays repeat themselves after a prime number of them.
template <class T>
std::shared_ptr<Array<T>> random_array(int64_t size, double scale = 1) {
  auto result = std::make_shared<Array<T>>(size);
  static const std::vector<float> values = [] {
    Random random(0, RandomUse::test);
    std::vector<float> drawn(1000003);
    for (float& x : drawn) x = random.normal();
    return drawn;
  }();
  std::vector<T> host(size);
  for (int64_t begin = 0; begin < size; begin += std::ssize(values)) {
    for (int64_t i = begin; i < std::min(size, begin + std::ssize(values)); i++) {
      host[i] = from_float<T>(static_cast<float>(scale) * values[i - begin]);
    }
  }
  gpu::copy_to_device(result->data(), host.data(), size * sizeof(T), gpu::compute_stream());
  return result;
}

template <class T>
std::shared_ptr<Array<T>> upload(const std::vector<T>& values) {
  auto result = std::make_shared<Array<T>>(std::ssize(values));
  gpu::copy_to_device(result->data(), values.data(), values.size() * sizeof(T), gpu::compute_stream());
  return result;
}

template <class T>
std::vector<double> read(const Array<T>& array) {
  std::vector<T> host(array.size());
  gpu::copy_to_host(host.data(), array.data(), host.size() * sizeof(T), gpu::compute_stream());
  std::vector<double> result(host.size());
  for (size_t i = 0; i < host.size(); i++) result[i] = to_float(host[i]);
  return result;
}

double inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

using Call = std::function<void(gpu::Stream)>;

#ifdef LOOKALIKE_SIMT
constexpr double kLeastShare = 0.65;
// Taps of images with three channels are 16 bytes each; a warp takes pixels where they lie, byte by byte.
constexpr const char* kScattered[] = {"conv siamese_cnn 1 weights", "conv resnet50 stem weights", "image_batch"};
#endif

class Bench {
 public:
#ifdef LOOKALIKE_SIMT
  Bench(std::string only, std::string json, bool) : tiny(true), only_(std::move(only)), json_(std::move(json)) {
    fmt::print("{:<34} {:<8} {:>10} {:>10} {:>10} {:>6} {:>8}\n", "kernel", "", "needed KB", "moved KB", "coalesced",
               "banks", "barriers");
  }

  double add(const std::string& name, const std::string& precision, double bytes, double flops,
             const std::vector<Call>& calls, double error = 0, double = 0) {
    check_error(name, precision, error);
    simt::clear_counts();
    simt::count_accesses(true);
    calls[0](gpu::compute_stream());
    simt::count_accesses(false);
    simt::KernelCounts total;
    for (const auto& [kernel, c] : simt::kernel_counts()) {
      for (const auto& [sum, part] : {std::pair(&total.loads, &c.loads), {&total.stores, &c.stores}})
        sum->sectors += part->sectors, sum->least += part->least;
      for (const auto& [sum, part] :
           {std::pair(&total.shared_loads, &c.shared_loads), {&total.shared_stores, &c.shared_stores}})
        sum->passes += part->passes, sum->least += part->least;
      total.barriers += c.barriers, total.launches += c.launches;
    }
    const auto share = [](int64_t least, int64_t taken) {
      return taken == 0 ? 1 : static_cast<double>(least) / static_cast<double>(taken);
    };
    const int64_t sectors = total.loads.sectors + total.stores.sectors;
    const double coalesced = share(total.loads.least + total.stores.least, sectors);
    const double banks = share(total.shared_loads.least + total.shared_stores.least,
                               total.shared_loads.passes + total.shared_stores.passes);
    fmt::print("{:<34} {:<8} {:>10.1f} {:>10.1f} {:>9.0f}% {:>5.0f}% {:>8}\n", name, precision, bytes / 1e3,
               static_cast<double>(sectors) * 0.032, 100 * coalesced, 100 * banks, total.barriers);
    const bool scattered = std::ranges::find(kScattered, name) != std::end(kScattered);
    check(scattered || (banks >= kLeastShare && coalesced >= kLeastShare),
          "{} {}: expected at least {:.0f} % of coalesced and of banks", name, precision, 100 * kLeastShare);
    rows_.push_back({{"name", name},
                     {"precision", precision},
                     {"needed_bytes", bytes},
                     {"flops", flops},
                     {"moved_bytes", 32 * sectors},
                     {"coalesced", coalesced},
                     {"bank_passes", total.shared_loads.passes + total.shared_stores.passes},
                     {"banks", banks},
                     {"barriers", total.barriers},
                     {"launches", total.launches}});
    write_json();
    return 0;
  }
  double time(const std::vector<Call>&) const {
    return 1;
  }
#else
  Bench(std::string only, std::string json, bool tiny) : tiny(tiny), only_(std::move(only)), json_(std::move(json)) {
    const int64_t bytes = tiny ? 1 << 12 : int64_t{1} << 30;
    const auto from = std::make_shared<Array<uint8_t>>(bytes), to = std::make_shared<Array<uint8_t>>(bytes);
    const double ms = time({[=](gpu::Stream on) { gpu::copy_on_device(to->data(), from->data(), from->size(), on); }});
    copy_ = 2e-6 * static_cast<double>(bytes) / ms;
    fmt::print("{}: copy on the device {:.0f} GB/s\n", gpu::limits().name, copy_);
    fmt::print("{:<38} {:<8} {:>10} {:>9} {:>9} {:>7} {:>8}\n", "kernel", "", "ms", "GB/s", "TFLOP/s", "share",
               "to peer");
  }

  // One call for each set of buffers; the result is the time of one. The share is of the ceiling that takes longer.
  double add(const std::string& name, const std::string& precision, double bytes, double flops,
             const std::vector<Call>& calls, double error = 0, double peer_ms = 0) {
    check_error(name, precision, error);
    const double ms = time(calls), gb = bytes / ms * 1e-6, tflops = flops / ms * 1e-9;
    double share = gb / copy_;
    if (const auto peak = peaks_.find(precision); peak != peaks_.end()) share = std::max(share, tflops / peak->second);
    fmt::print("{:<38} {:<8} {:>10.4f} {:>9.1f} {:>9.2f} {:>6.0f}% {:>8}\n", name, precision, ms, gb, tflops,
               100 * share, peer_ms > 0 ? fmt::format("{:.2f}x", peer_ms / ms) : "");
    std::fflush(stdout);
    rows_.push_back({{"name", name},
                     {"precision", precision},
                     {"ms", ms},
                     {"gb_per_s", gb},
                     {"tflop_per_s", tflops},
                     {"share", share},
                     {"error", error}});
    if (peer_ms > 0) rows_.back().update({{"peer_ms", peer_ms}, {"speed_to_peer", peer_ms / ms}});
    write_json();
    return ms;
  }
  // The median of some rounds of about 10 ms.
  double time(const std::vector<Call>& calls) const {
    const gpu::Stream on = gpu::compute_stream();
    const gpu::Event from = gpu::make_event(), to = gpu::make_event();
    const auto round = [&](int count) {
      gpu::record(from, on);
      for (int i = 0; i < count; i++) calls[i % calls.size()](on);
      gpu::record(to, on);
      gpu::synchronize(to);
      return gpu::milliseconds(from, to) / count;
    };
    double ms = round(1);
    if (!tiny) {
      ms = round(static_cast<int>(calls.size()) + 2);
      const int count = static_cast<int>(std::clamp(10 / ms, 2., 500.));
      std::vector<double> times;
      for (int i = 0; i < 7; i++) times.push_back(round(count));
      std::ranges::sort(times);
      ms = times[3];
    }
    gpu::destroy(from), gpu::destroy(to);
    return std::max(ms, 1e-6);
  }
#endif

  bool wants(const std::string& name) const {
    return name.find(only_) != std::string::npos;
  }
  // How many sets of buffers of so many bytes are more than any cache.
  int sets(double bytes) const {
    return tiny ? 1 : static_cast<int>(std::clamp(2.56e8 / bytes + 1, 1., 32.));
  }
  void set_peak(const std::string& precision, double ms, double flops) {
    double& peak = peaks_[precision];
    peak = std::max(peak, flops / ms * 1e-9);
  }
  // After every row, so that a run that is cut off leaves what it has.
  void write_json() const {
    if (json_.empty()) return;
    const nlohmann::json all{
        {"device", gpu::limits().name}, {"copy_gb_per_s", copy_}, {"cublas_tflop_per_s", peaks_}, {"kernels", rows_}};
    std::ofstream(json_) << all.dump(1) << "\n";
  }

  const bool tiny;

 private:
  static void check_error(const std::string& name, const std::string& precision, double error) {
    check(error <= (precision == "fp32" ? 1e-5 : 2e-2), "{} {} is wrong by {:.1e}", name, precision, error);
  }

  std::string only_, json_;
  double copy_ = 1;
  std::map<std::string, double> peaks_;
  nlohmann::json rows_ = nlohmann::json::array();
};

template <class T>
constexpr double kSize = sizeof(T);
template <class T>
std::string precision_name(bool tf32) {
  return sizeof(T) == 2 ? "bf16" : tf32 ? "tf32" : "fp32";
}

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

Conv2dParams conv(int64_t batch, int64_t side, int64_t in_c, int64_t out_c, int64_t kernel, int64_t stride = 1) {
  const int64_t pad = kernel / 2;
  return {batch, side, side, in_c, out_c, kernel, kernel, stride, pad, pad, pad, pad};
}

template <class T>
void bench_memory(Bench& bench) {
  // The first batch norm of convnet_bn, with its pool, on 2 x 64 images of 64x64.
  const BatchNormParams bn{2, bench.tiny ? 4 : 128, bench.tiny ? 16 : 64, bench.tiny ? 16 : 64, 32};
  const int64_t n = bn.images * bn.height * bn.width * bn.channels;
  const double bytes = kSize<T> * static_cast<double>(n);
  const Activation leaky{ActivationKind::leaky_relu, 0.1};
  std::map<std::string, std::pair<double, std::vector<Call>>> calls;  // by name: bytes moved, calls
  for (int i = 0; i < bench.sets(3 * bytes); i++) {
    const auto x = random_array<T>(n), dy = random_array<T>(n), y = random_array<T>(n);
    const auto gamma = random_array<float>(bn.channels), beta = random_array<float>(bn.channels);
    const auto mean = random_array<float>(2 * bn.channels), variance = random_array<float>(2 * bn.channels);
    cuda::fill(variance->data(), 1, variance->size(), gpu::compute_stream());
    const auto work = std::make_shared<Array<double>>(cuda::batch_norm_workspace(bn));
    const auto sums = std::make_shared<Array<double>>(4 * bn.channels);
    gpu::fill_bytes(sums->data(), 0, 8 * sums->size(), gpu::compute_stream());
    const auto add_bytes = [&](const char* name, double moved, Call call) {
      auto& entry = calls[name];
      entry.first = moved;
      entry.second.push_back(std::move(call));
    };
    const auto add = [&](const char* name, double arrays, Call call) {
      add_bytes(name, arrays * bytes, std::move(call));
    };
    add("accumulate", 3, [=](gpu::Stream on) { cuda::accumulate<T>(x->data(), y->data(), n, on); });
    add("activation forward", 2,
        [=](gpu::Stream on) { cuda::activation_forward<T>(leaky, x->data(), y->data(), n, on); });
    add("activation backward", 3,
        [=](gpu::Stream on) { cuda::activation_backward<T>(leaky, x->data(), dy->data(), y->data(), n, on); });
    add("add", 3, [=](gpu::Stream on) { cuda::add_forward<T>(leaky, x->data(), dy->data(), y->data(), n, on); });
    add("batch norm statistics", 1, [=](gpu::Stream on) {
      cuda::batch_norm_statistics<T>(bn, x->data(), work->data(), mean->data(), variance->data(), on);
    });
    add("batch norm forward", 2, [=](gpu::Stream on) {
      cuda::batch_norm_forward<T>(bn, x->data(), mean->data(), variance->data(), gamma->data(), beta->data(), y->data(),
                                  nullptr, on);
    });
    add("batch norm reduce", 2, [=](gpu::Stream on) {
      cuda::batch_norm_reduce<T>(bn, x->data(), mean->data(), variance->data(), gamma->data(), beta->data(), dy->data(),
                                 work->data(), sums->data(), gamma->data(), beta->data(), on);
    });
    add("batch norm backward", 3, [=](gpu::Stream on) {
      cuda::batch_norm_backward<T>(bn, x->data(), nullptr, mean->data(), variance->data(), gamma->data(), beta->data(),
                                   dy->data(), sums->data(), y->data(), on);
    });

    // Other shapes in the same memory, as many rows or images as fit.
    const Pool2dParams pool{bn.images, bn.height, bn.width, bn.channels, 2, 2};
    const auto winners = std::make_shared<Array<uint8_t>>(n / 4);
    gpu::fill_bytes(winners->data(), 0, n / 4, gpu::compute_stream());
    const double count = static_cast<double>(n);
    add_bytes("max_pool2d forward", 1.25 * bytes + count / 4,
              [=](gpu::Stream on) { cuda::max_pool2d_forward<T>(pool, x->data(), y->data(), winners->data(), on); });
    add_bytes("max_pool2d backward", 1.25 * bytes + count / 4,
              [=](gpu::Stream on) { cuda::max_pool2d_backward<T>(pool, dy->data(), winners->data(), y->data(), on); });
    // The end of ResNet50.
    const int64_t wide = bench.tiny ? 128 : 2048, maps = n / (49 * wide);
    const double map_bytes = kSize<T> * static_cast<double>(maps * wide * 50);
    add_bytes("global average pool forward", map_bytes,
              [=](gpu::Stream on) { cuda::global_avg_pool_forward<T>(maps, 49, wide, x->data(), y->data(), on); });
    add_bytes("global average pool backward", map_bytes,
              [=](gpu::Stream on) { cuda::global_avg_pool_backward<T>(maps, 49, wide, dy->data(), y->data(), on); });
    // siamese_cnn 1.
    const int64_t side = bench.tiny ? 16 : 64;
    Conv2dParams first = conv(n / (side * side * 64), side, 3, 64, 5);
    first.activation = {ActivationKind::relu}, first.pool = 2;
    const auto bias = std::make_shared<Array<float>>(64);
    const auto conv_work = std::make_shared<Array<T>>(cuda::conv2d_workspace<T>(first).backward_weights);
    add_bytes("conv output gradient", 1.5 * bytes + count / 4, [=](gpu::Stream on) {
      cuda::conv2d_output_gradient<T>(first, dy->data(), x->data(), winners->data(), y->data(), bias->data(),
                                      conv_work->data(), on);
    });
    const int64_t d = 128, rows = n / d * static_cast<int64_t>(sizeof(T)) / 4;
    const double row_bytes = static_cast<double>(rows) * (d * (4 + kSize<T>)+4);
    const auto scale = std::make_shared<Array<float>>(rows);
    const auto floats = [](const auto& array) { return reinterpret_cast<float*>(array->data()); };
    add_bytes("l2_normalize forward", row_bytes, [=](gpu::Stream on) {
      cuda::l2_normalize_forward<T>(x->data(), rows, d, 1e-12, floats(y), scale->data(), on);
    });
    add_bytes("l2_normalize backward", row_bytes + static_cast<double>(4 * rows * d), [=](gpu::Stream on) {
      cuda::l2_normalize_backward<T>(floats(x), scale->data(), floats(dy), rows, d, y->data(), on);
    });
    const auto sum_work = std::make_shared<Array<T>>(cuda::column_sums_workspace<T>(n / d, d));
    add("column_sums", 1,
        [=](gpu::Stream on) { cuda::column_sums<T>(n / d, d, x->data(), scale->data(), sum_work->data(), on); });
    const int64_t pairs = n / d / 2;
    add("pair_features forward", 2, [=](gpu::Stream on) {
      cuda::pair_features_forward<T>(PairFeatures::both, x->data(), x->data() + pairs * d, pairs, d, y->data(), on);
    });
    add("pair_features backward", 3, [=](gpu::Stream on) {
      cuda::pair_features_backward<T>(PairFeatures::both, x->data(), x->data() + pairs * d, dy->data(), pairs, d,
                                      y->data(), y->data() + pairs * d, on);
    });
    // A permutation: each row once.
    std::vector<int32_t> shuffled(n / d), firsts(n / d + 1);
    std::iota(shuffled.begin(), shuffled.end(), 0), std::iota(firsts.begin(), firsts.end(), 0);
    Random(0, RandomUse::test).shuffle(std::span(shuffled));
    const auto order = upload(shuffled), begin = upload(firsts);
    add("gather_rows forward", 2,
        [=](gpu::Stream on) { cuda::gather_rows_forward<T>(x->data(), order->data(), n / d, d, y->data(), on); });
    add("gather_rows backward", 2, [=](gpu::Stream on) {
      cuda::gather_rows_backward<T>(dy->data(), begin->data(), order->data(), n / d, d, y->data(), on);
    });
    const auto loss = std::make_shared<Array<float>>(1);
    const auto loss_work = std::make_shared<Array<double>>(cuda::pointwise_loss_workspace(n));
    add("bce_with_logits", 3, [=](gpu::Stream on) {
      cuda::pointwise_loss<T>(PointwiseLoss::bce_with_logits, x->data(), dy->data(), n, 1, loss_work->data(), y->data(),
                              loss->data(), on);
    });
    const int64_t kinds = 1000, samples = n / kinds;
    const auto sums_of_losses = std::make_shared<Array<DistanceSums>>(1);
    const auto softmax_work = std::make_shared<Array<uint8_t>>(cuda::softmax_cross_entropy_workspace(samples));
    const auto labels = upload(std::vector<int32_t>(samples, 7));
    add("softmax_cross_entropy", 2, [=](gpu::Stream on) {
      cuda::softmax_cross_entropy<T>(x->data(), labels->data(), samples, kinds, 1, softmax_work->data(), y->data(),
                                     loss->data(), sums_of_losses->data(), on);
    });
    const int64_t pixels = bench.tiny ? 32 : 224, pictures = n / (3 * pixels * pixels);
    const ImageBatchParams batch{pictures, pixels, pixels, 3, {1, 1, 1}, {0, 0, 0}};
    const auto draws = std::make_shared<Array<ImageDraw>>(pictures);
    const std::vector<ImageDraw> turned(pictures, {.xx = 0.98f, .xy = 0.1f, .yx = -0.1f, .yy = 0.98f});
    gpu::copy_to_device(draws->data(), turned.data(), pictures * sizeof(ImageDraw), gpu::compute_stream());
    add_bytes("image_batch", static_cast<double>(pictures * pixels * pixels * 3) * (1 + kSize<T>), [=](gpu::Stream on) {
      cuda::image_batch<T>(batch, reinterpret_cast<const uint8_t*>(x->data()), draws->data(), y->data(), on);
    });
  }
  for (const auto& [name, entry] : calls) {
    if (bench.wants(name)) bench.add(name, precision_name<T>(false), entry.first, 0, entry.second);
  }
}

void bench_losses(Bench& bench) {
  for (const int64_t columns : bench.tiny ? std::vector<int64_t>{128} : std::vector<int64_t>{512, 2048, 8192}) {
    const std::string name = fmt::format("barlow_twins {}", columns);
    if (!bench.wants(name)) continue;
    const auto c = random_array<float>(columns * columns), loss = random_array<float>(1);
    const auto work = std::make_shared<Array<double>>(cuda::barlow_twins_workspace(columns));
    bench.add(name, "fp32", 2 * 4. * static_cast<double>(columns * columns), 0, {[=](gpu::Stream on) {
                cuda::barlow_twins(c->data(), columns, 1, 0.005, work->data(), loss->data(), on);
              }});
  }
  const int64_t d = bench.tiny ? 64 : 128;
  for (const int64_t n : bench.tiny ? std::vector<int64_t>{128} : std::vector<int64_t>{256, 1024, 4096, 8192}) {
    const double nd = static_cast<double>(n), dd = static_cast<double>(d);
    const auto e = random_array<float>(2 * n * d, 1 / std::sqrt(dd)), de = random_array<float>(2 * n * d);
    const auto loss = std::make_shared<Array<float>>(1);
    const auto sums = std::make_shared<Array<DistanceSums>>(1);
    const auto work = std::make_shared<Array<float>>(
        std::max(cuda::nt_xent_workspace(n, d), cuda::triplet_workspace(Mining::batch_hard, n, d, n)));
    // Three products of n n d each way: similarities twice, gradients of both sides.
    if (const std::string name = fmt::format("nt_xent {}", n); bench.wants(name)) {
      bench.add(name, "fp32", 4 * 4 * nd * dd, 12 * nd * nd * dd, {[=](gpu::Stream on) {
                  cuda::nt_xent(e->data(), n, d, 0.1, work->data(), de->data(), loss->data(), sums->data(), on);
                }});
    }
    // Classes of two rows, each row an anchor.
    std::vector<int32_t> of_row, rows, begin{0};
    std::vector<Triplet> list;
    for (int32_t i = 0; i < n; i++) {
      of_row.push_back(i / 2), rows.push_back(i), list.push_back({i, i ^ 1, (i + 2) % static_cast<int32_t>(n)});
      if (i % 2 == 1) begin.push_back(i + 1);
    }
    const auto classes = upload(of_row), order = upload(rows), firsts = upload(begin);
    const auto triplets = upload(list);
    if (const std::string name = fmt::format("triplet batch_hard {}", n); bench.wants(name)) {
      bench.add(name, "fp32", 4 * 2 * nd * dd, 2 * nd * nd * dd, {[=](gpu::Stream on) {
                  cuda::triplet(Mining::batch_hard, {0.5, false}, e->data(), n, d,
                                {classes->data(), order->data(), firsts->data()}, triplets->data(), n, 1 / nd,
                                work->data(), de->data(), loss->data(), sums->data(), on);
                }});
    }
  }
}

void bench_top_k(Bench& bench) {
  const int64_t n = bench.tiny ? 2048 : 1 << 20, d = bench.tiny ? 64 : 128;
  const auto database = random_array<float>(n * d);
  for (const int64_t q : {1, 64, 1024}) {
    for (const int64_t k : {10, 100, 1024}) {
      const std::string name = fmt::format("top_k {} of {}, {} queries", k, n, q);
      if (!bench.wants(name) || k > n || (bench.tiny && q > 1)) continue;
      const auto queries = random_array<float>(q * d), scores = std::make_shared<Array<float>>(q * k);
      const auto indices = std::make_shared<Array<int64_t>>(q * k);
      const auto work = std::make_shared<Array<uint64_t>>(cuda::top_k_workspace(q, n, k));
      bench.add(name, "fp32", 4. * static_cast<double>(n * d), 2. * static_cast<double>(q * n * d),
                {[=](gpu::Stream on) {
                  cuda::top_k(queries->data(), database->data(), q, n, d, k, work->data(), scores->data(),
                              indices->data(), on);
                }});
    }
  }
}

// The 161 parameters of ResNet50 are 25.6 million numbers.
void bench_optimizers(Bench& bench) {
  const int64_t count = 161, size = bench.tiny ? 100 : 158736, n = count * size;
  const auto w = random_array<float>(n), g = random_array<float>(n), m = random_array<float>(n),
             v = random_array<float>(n);
  gpu::fill_bytes(v->data(), 0, 4 * n, gpu::compute_stream());
  std::vector<StepTensor<float>> tensors;
  std::vector<GradTensor<float>> grads;
  for (int64_t at = 0; at < n; at += size) {
    tensors.push_back({w->data() + at, g->data() + at, m->data() + at, v->data() + at, size, 0.01});
    grads.push_back({g->data() + at, size});
  }
  const auto work = std::make_shared<Array<double>>(cuda::grad_norm_workspace(grads) + 1);
  const auto factor = std::make_shared<Array<float>>(1);
  const double bytes = 4. * static_cast<double>(n);
  if (bench.wants("sgd")) {
    bench.add("sgd", "fp32", 5 * bytes, 0, {[=](gpu::Stream on) {
                cuda::sgd_step({1e-3, 0.9}, tensors, nullptr, on);
              }});
  }
  if (bench.wants("adamw")) {
    bench.add("adamw", "fp32", 7 * bytes, 0, {[=](gpu::Stream on) {
                cuda::adam_step({1e-3, 0.9, 0.999, 1e-8, 1, true}, tensors, nullptr, on);
              }});
  }
  if (bench.wants("grad_norm")) {
    bench.add("grad_norm", "fp32", bytes, 0, {[=](gpu::Stream on) {
                cuda::grad_norm(grads, 1, work->data(), work->data() + work->size() - 1, factor->data(), on);
              }});
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
