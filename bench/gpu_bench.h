// What gpu_bench's files share: device arrays with random numbers, and the table that a benchmark adds rows to.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/io/atomic_file.h"
#include "kernels/bf16.h"
#include "kernels/conv2d.h"
#include "kernels/gpu/device.h"
#include "kernels/parallel.h"
#ifdef LOOKALIKE_SIMT
#include "kernels/simt/counts.h"
#endif

namespace lookalike {

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

constexpr int64_t kHostGrain = 1 << 16;  // numbers a thread of the CPU has at least

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
  cpu::parallel_for(size, kHostGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin, at = begin % std::ssize(values); i < end;
         i++, at = at + 1 == std::ssize(values) ? 0 : at + 1)
      host[i] = from_float<T>(static_cast<float>(scale) * values[at]);
  });
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
  cpu::parallel_for(array.size(), kHostGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) result[i] = to_float(host[i]);
  });
  return result;
}

inline double inner(const std::vector<double>& a, const std::vector<double>& b) {
  const int64_t n = std::ssize(a);
  std::vector<double> sums((n + kHostGrain - 1) / kHostGrain);
  cpu::parallel_for(std::ssize(sums), 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; piece++)
      for (int64_t i = piece * kHostGrain; i < std::min(n, (piece + 1) * kHostGrain); i++) sums[piece] += a[i] * b[i];
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
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
  // The median of five rounds of about 6 ms.
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
      const int count = static_cast<int>(std::clamp(6 / ms, 2., 500.));
      std::vector<double> times;
      for (int i = 0; i < 5; i++) times.push_back(round(count));
      std::ranges::sort(times);
      ms = times[2];
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
    write_file_atomically(json_, all.dump(1) + "\n");
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

inline Conv2dParams conv(int64_t batch, int64_t side, int64_t in_c, int64_t out_c, int64_t kernel, int64_t stride = 1) {
  const int64_t pad = kernel / 2;
  return {batch, side, side, in_c, out_c, kernel, kernel, stride, pad, pad, pad, pad};
}

// Memory-bound kernels and optimisers (gpu_bench_memory.cpp), losses and search (gpu_bench_losses.cpp).
template <class T>
void bench_memory(Bench& bench);
template <class T>
void bench_depthwise(Bench& bench);
void bench_optimizers(Bench& bench);
void bench_losses(Bench& bench);
void bench_top_k(Bench& bench);

}  // namespace lookalike
