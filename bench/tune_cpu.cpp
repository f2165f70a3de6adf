// Times 3x3 convolutions of stride 1 both ways that the CPU has, as the sum is written and by
// Winograd's F(4x4, 3x3), in every pass: where kernels/conv2d_winograd_cpu.cpp has its table from.
// tune_cpu [part of a row's name]; LOOKALIKE_ISA and OMP_NUM_THREADS are heeded.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#include "kernels/conv2d.h"
#include "kernels/conv2d_winograd.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

constexpr int kRounds = 7;

struct Layer {
  int64_t batch, side, in_c, out_c;
  int64_t pool = 1;
};

std::vector<float> normal(int64_t n, float deviation) {
  std::mt19937 random(static_cast<uint32_t>(n));
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = distribution(random);
  return values;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class Layers {
 public:
  explicit Layers(std::string only) : only_(std::move(only)) {
    fmt::print("{}, {} threads; ms, and GFLOP/s counted as the sum is written\n",
               cpu::name_of(cpu::isa()), omp_get_max_threads());
    fmt::print("{:<34} {:<9} {:>9} {:>9} {:>7} {:>7} {:>7}\n", "layer", "pass", "direct",
               "winograd", "GFLOP/s", "GFLOP/s", "ratio");
  }

  void time(const Layer& l) {
    const std::string name = fmt::format("{} of {}x{} {}->{}{}", l.batch, l.side, l.side, l.in_c,
                                         l.out_c, l.pool == 2 ? " pool" : "");
    if (name.find(only_) == name.npos) return;
    Conv2dParams p{.batch = l.batch,
                   .in_h = l.side,
                   .in_w = l.side,
                   .in_c = l.in_c,
                   .out_c = l.out_c,
                   .kernel_h = 3,
                   .kernel_w = 3,
                   .pad_top = 1,
                   .pad_left = 1,
                   .pad_bottom = 1,
                   .pad_right = 1,
                   .pool = l.pool};
    if (l.pool == 2) p.activation = {ActivationKind::leaky_relu, 0.1};
    const int64_t outputs = l.batch * p.y_h() * p.y_w() * l.out_c;
    const std::vector<float> x = normal(l.batch * l.side * l.side * l.in_c, 1),
                             dy = normal(outputs, 1), w = normal(9 * l.in_c * l.out_c, 0.05f),
                             bias = normal(l.out_c, 1);
    std::vector<float> y(outputs), dx(x.size()), dw(w.size()), dbias(l.out_c);
    std::vector<uint8_t> argmax(outputs);
    Conv2dParams ways[2] = {p, p};
    ways[0].algorithm = ConvAlgorithm::direct, ways[1].algorithm = ConvAlgorithm::winograd;
    std::vector<float> work[2], packed[2];
    for (int i = 0; i < 2; i++) {
      const Conv2dWorkspace floats = cpu::conv2d_workspace<float>(ways[i]);
      work[i].resize(std::max({floats.forward, floats.backward_data, floats.backward_weights}));
      packed[i].resize(cpu::conv2d_packed_size<float>(ways[i]));
      cpu::conv2d_pack<float>(ways[i], w.data(), bias.data(), packed[i].data());
    }
    const auto row = [&](const char* pass, const auto& run) {
      std::vector<double> times[2];
      for (int i = 0; i < 2; i++) run(i);
      for (int round = 0; round < kRounds; round++)
        for (int i = 0; i < 2; i++) {
          // About 3 ms at a time, so that a clock's tick does not matter.
          const int64_t calls =
              times[i].empty()
                  ? 1
                  : std::clamp<int64_t>(static_cast<int64_t>(3e-3 / times[i][0]), 1, 1000);
          times[i].push_back(seconds_of([&] {
                               for (int64_t c = 0; c < calls; c++) run(i);
                             }) /
                             static_cast<double>(calls));
        }
      const double direct = median(times[0]), winograd = median(times[1]);
      const double gflop =
          18e-9 * static_cast<double>(l.batch * l.side * l.side * l.in_c * l.out_c);
      fmt::print("{:<34} {:<9} {:>9.3f} {:>9.3f} {:>7.0f} {:>7.0f} {:>7.2f}\n", name, pass,
                 1e3 * direct, 1e3 * winograd, gflop / direct, gflop / winograd, direct / winograd);
      std::fflush(stdout);
    };
    if (cpu::winograd_packs(ways[1]))
      row("packed", [&](int i) {
        cpu::conv2d_forward_packed<float>(ways[i], x.data(), packed[i].data(), nullptr, y.data(),
                                          argmax.data(), work[i].data());
      });
    if (l.batch == 1) return;
    row("forward", [&](int i) {
      cpu::conv2d_forward<float>(ways[i], x.data(), w.data(), bias.data(), y.data(), argmax.data(),
                                 work[i].data());
    });
    row("data", [&](int i) {
      cpu::conv2d_backward_data<float>(ways[i], dy.data(), y.data(), argmax.data(), w.data(),
                                       dx.data(), work[i].data());
    });
    row("weights", [&](int i) {
      cpu::conv2d_backward_weights<float>(ways[i], x.data(), dy.data(), y.data(), argmax.data(),
                                          dw.data(), dbias.data(), work[i].data());
    });
  }

 private:
  std::string only_;
};

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  using namespace lookalike;
  Layers layers(argc > 1 ? argv[1] : "");
  // What the networks have: convnet_bn, siamese_cnn, ResNet50, SqueezeNet; then few channels and
  // small images.
  for (const Layer& layer : std::initializer_list<Layer>{
           {128, 64, 32, 32},   {128, 32, 32, 64},   {128, 32, 64, 64},    {128, 16, 64, 128},
           {128, 16, 128, 128}, {128, 8, 128, 128},  {64, 32, 64, 128, 2}, {16, 56, 64, 64},
           {16, 28, 128, 128},  {16, 14, 256, 256},  {16, 7, 512, 512},    {1, 55, 16, 64},
           {1, 27, 32, 128},    {1, 13, 48, 192},    {1, 13, 64, 256},     {32, 55, 16, 64},
           {32, 27, 32, 128},   {32, 13, 48, 192},   {32, 13, 64, 256},    {32, 64, 8, 8},
           {32, 64, 8, 16},     {32, 64, 16, 8},     {32, 64, 16, 16},     {32, 32, 24, 24},
           {32, 64, 4, 64},     {32, 64, 64, 4},     {32, 64, 8, 64},      {32, 64, 64, 8},
           {64, 6, 64, 64},     {64, 5, 64, 64},     {64, 4, 64, 64},      {64, 3, 64, 64},
           {64, 2, 64, 64},     {64, 2, 16, 16},     {1, 4, 64, 64},       {1, 8, 64, 64},
           {1, 8, 16, 16},      {32, 32, 16, 16, 2}, {32, 16, 8, 16, 2},   {32, 9, 32, 32, 2}})
    layers.time(layer);
}
