// Verifies every step of every ladder against sums in double, and times it.
//
//   ladder                        all, with a table
//   ladder --only matmul --sizes 1024,1024,1024 --json FILE
//   ladder --check                small sizes, no timing: for the emulator and the interpreter
#include "bench/ladders/ladder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/core/random.h"
#include "engine/io/atomic_file.h"

namespace lookalike::ladder {
namespace {

std::vector<Ladder>& ladders() {
  static std::vector<Ladder> all;
  return all;
}
std::vector<Step>& steps() {
  static std::vector<Step> all;
  return all;
}

template <class T>
class DeviceCopy {
 public:
  explicit DeviceCopy(const std::vector<T>& values) : size_(values.size()) {
    const size_t bytes = size_ * sizeof(T);
    data_.reset(static_cast<T*>(gpu::allocate(bytes, gpu::compute_stream())));
    gpu::copy_to_device(data_.get(), values.data(), bytes, gpu::compute_stream());
  }
  T* get() const { return data_.get(); }
  void poison() { gpu::fill_bytes(data_.get(), 0xFF, size_ * sizeof(T), gpu::compute_stream()); }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    gpu::copy_to_host(values.data(), data_.get(), size_ * sizeof(T), gpu::compute_stream());
    return values;
  }

 private:
  struct Release {
    void operator()(T* data) const { gpu::release(data, gpu::compute_stream()); }
  };
  size_t size_;
  std::unique_ptr<T, Release> data_;
};

// One ladder's data at one size.
class Bench {
 public:
  Bench(const Ladder& ladder, const Sizes& sizes)
      : ladder_(ladder),
        sizes_(sizes),
        a_(random(ladder.count_a(sizes), 1)),
        b_(random(ladder.count_b(sizes), 2)),
        a16_(rounded(a_)),
        b16_(rounded(b_)),
        device_a_(a_),
        device_b_(b_),
        device_a16_(a16_),
        device_b16_(b16_),
        device_c_(std::vector<float>(ladder.count_c(sizes))),
        device_c16_(std::vector<bf16>(ladder.count_c(sizes))) {}

  void run(const Step& step) {
    step.run({sizes_, device_a_.get(), device_b_.get(), device_a16_.get(), device_b16_.get(), device_c_.get(),
              device_c16_.get(), gpu::compute_stream()});
  }

  // Relative to the norm, over at most `limit` elements of c spread over the whole of it.
  double error(const Step& step, int64_t limit) {
    device_c_.poison();
    device_c16_.poison();
    run(step);
    const std::vector<float> c = step.bf16_result ? wide(device_c16_.read()) : device_c_.read();
    const std::vector<float> a = step.bf16 ? wide(a16_) : a_, b = step.bf16 ? wide(b16_) : b_;
    const int64_t count = std::min<int64_t>(std::ssize(c), limit);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
      const int64_t index = std::ssize(c) <= limit ? i : i * 7919 * 7907 % std::ssize(c);
      const double want = ladder_.reference(sizes_, a.data(), b.data(), index), wrong = c[index] - want;
      difference += wrong * wrong, norm += want * want;
    }
    const double result = std::sqrt(difference / norm);
    return std::isfinite(result) ? result : INFINITY;
  }

  // Median time of a call.
  double milliseconds(const Step& step) {
    run(step);
    std::vector<double> times;
    double total = 0;
    while (std::ssize(times) < 5 || (total < 200 && std::ssize(times) < 200)) {
      const gpu::Event from = gpu::make_event(), to = gpu::make_event();
      gpu::record(from, gpu::compute_stream());
      run(step);
      gpu::record(to, gpu::compute_stream());
      gpu::synchronize(to);
      times.push_back(gpu::milliseconds(from, to));
      total += times.back();
      gpu::destroy(from);
      gpu::destroy(to);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

 private:
  static std::vector<float> random(int64_t count, uint64_t seed) {
    Random random(seed, RandomUse::test);
    std::vector<float> result(count);
    for (float& x : result) x = static_cast<float>(random.uniform() * 2 - 1);
    return result;
  }
  static std::vector<bf16> rounded(const std::vector<float>& values) {
    std::vector<bf16> result;
    for (const float x : values) result.push_back(to_bf16(x));
    return result;
  }
  static std::vector<float> wide(const std::vector<bf16>& values) {
    std::vector<float> result;
    for (const bf16 x : values) result.push_back(to_float(x));
    return result;
  }

  const Ladder& ladder_;
  Sizes sizes_;
  std::vector<float> a_, b_;
  std::vector<bf16> a16_, b16_;
  DeviceCopy<float> device_a_, device_b_;
  DeviceCopy<bf16> device_a16_, device_b16_;
  DeviceCopy<float> device_c_;
  DeviceCopy<bf16> device_c16_;
};

}  // namespace

bool add_ladder(const Ladder& ladder) {
  ladders().push_back(ladder);
  return true;
}
bool add_step(const Step& step) {
  steps().push_back(step);
  return true;
}

}  // namespace lookalike::ladder

int main(int argc, char** argv) {
  using namespace lookalike;
  using namespace lookalike::ladder;
  CLI::App app("Matrix product and convolution, from naive to the shipped kernel, one idea a step");
  std::string only, json_file;
  Sizes sizes;
  bool check = false;
  app.add_option("--only", only, "this ladder alone");
  app.add_option("--sizes", sizes, "sizes to time")->delimiter(',')->needs("--only");
  app.add_option("--json", json_file, "write the results to this file");
  app.add_flag("--check", check, "verify only");
  CLI11_PARSE(app, argc, argv);
  if (!gpu::available()) {
    fmt::print("skipped: {}\n", gpu::why_not());
    return 0;
  }
  std::sort(steps().begin(), steps().end(), [](const Step& x, const Step& y) { return x.name < y.name; });

  int failed = 0;
  nlohmann::json results = {{"device", gpu::limits().name}, {"steps", nlohmann::json::array()}};
  for (const Ladder& ladder : ladders()) {
    if (!only.empty() && ladder.name != only) continue;
    const Sizes timed = sizes.empty() ? ladder.timed : sizes;
    if (timed.size() != ladder.size_names.size()) {
      fmt::print(stderr, "--sizes: {} numbers, {} takes {}\n", timed.size(), ladder.name,
                 fmt::join(ladder.size_names, ","));
      return 1;
    }
    const bool positive = std::all_of(timed.begin(), timed.end(), [](int size) { return size > 0; });
    for (const auto count : {ladder.count_a, ladder.count_b, ladder.count_c}) {
      if (positive && count(timed) < int64_t{1} << 31) continue;
      fmt::print(stderr, "--sizes: {}: expected numbers above 0 and arrays of fewer than 2^31 elements\n",
                 fmt::join(sizes, ","));
      return 1;
    }
    fmt::print("{}: {}", ladder.name, ladder.formula);
    if (!check) fmt::print("; {} = {}", fmt::join(ladder.size_names, ", "), fmt::join(timed, ", "));
    fmt::print("\n{:28} {:>10} {:>10} {:>10}\n", "step", "error", check ? "" : "ms", check ? "" : "TFLOP/s");
    std::unique_ptr<Bench> bench;
    if (!check) bench = std::make_unique<Bench>(ladder, timed);
    for (const Step& step : steps()) {
      if (step.ladder != ladder.name) continue;
      double error = 0;
      for (const Sizes& small : ladder.verified) error = std::max(error, Bench(ladder, small).error(step, INT64_MAX));
      if (bench) error = std::max(error, bench->error(step, 256));
      const bool right = error <= step.tolerance;
      failed += !right;
      nlohmann::json result = {{"ladder", ladder.name}, {"step", step.name}, {"idea", step.idea}, {"error", error}};
      fmt::print("{:28} {:10.1e}", step.name, error);
      if (!right) {
        fmt::print("  WRONG");
      } else if (bench) {
        const double time = bench->milliseconds(step), rate = ladder.flops(timed) / time * 1e-9;
        result["sizes"] = timed, result["milliseconds"] = time, result["tflops"] = rate;
        fmt::print(" {:10.3f} {:10.2f}", time, rate);
      }
      fmt::print("  {}\n", step.idea);
      std::fflush(stdout);
      results["steps"].push_back(result);
    }
  }
  if (results["steps"].empty()) {
    fmt::print(stderr, "--only: there is no ladder '{}'\n", only);
    return 1;
  }
  if (!json_file.empty()) lookalike::write_file_atomically(json_file, results.dump(1) + "\n");
  return failed == 0 ? 0 : 1;
}
