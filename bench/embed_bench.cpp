// Times embedding of random images in memory with an ImageNet network: forward in evaluation, batch norms folded. What
// bench/peers/embed.py does with ONNX Runtime, OpenVINO and PyTorch; bench/compare_embedding.py runs them all. Prints one line of JSON.
#include <algorithm>
#include <chrono>
#include <cmath>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "engine/core/random.h"
#include "engine/eval/embed.h"
#include "models/model.h"

namespace lookalike {
namespace {

nlohmann::json time_embedding(const std::string& name, int64_t size, int64_t batch, double seconds,
                              const Compute& compute) {
  const Preprocess preprocess{.height = size, .width = size};
  const Model model = build_model({{"name", name}}, preprocess, 0, "embed_bench");
  model.network->fold();
  prepare_network(*model.network, compute);
  Random random(0, RandomUse::test);
  Tensor images({batch, size, size, 3});
  for (float& x : images.span<float>()) x = random.uniform(-1.0f, 1.0f);
  const Variable input(place_input(images, compute));
  const auto run = [&] { return forward_in_parallel(*model.network, input).value().to(Device::cpu); };

  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  for (int i = 0; i < 3; i++) run();  // warm-up
  int64_t runs = 0;
  double fastest = 1e30;
  const auto start = Clock::now();
  while (runs < 3 || since(start) < seconds) {
    const auto begin = Clock::now();
    run();
    runs++;
    fastest = std::min(fastest, since(begin));
  }
  return {{"model", name},
          {"size", size},
          {"batch", batch},
          {"images_per_s", static_cast<double>(runs * batch) / since(start)},
          {"best_images_per_s", static_cast<double>(batch) / fastest},
          {"device", name_of(compute.device)},
          {"threads", omp_get_max_threads()}};
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times embedding of random images in memory");
  std::string model = "efficientnet_lite0", device = "cpu", precision = "fp32";
  bool exact_conv = false;
  double seconds = 5;
  int64_t size = 224, batch = 32;
  app.add_option("--model", model, "efficientnet_lite0, squeezenet or resnet50")->capture_default_str();
  app.add_option("--size", size, "Height and width of the images")->capture_default_str();
  app.add_option("--batch", batch, "Images at a time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "How long to measure")->capture_default_str();
  app.add_option("--device", device, "cpu or cuda")->capture_default_str();
  app.add_option("--precision", precision, "fp32, or on the GPU tf32 or bf16")->capture_default_str();
  app.add_flag("--exact-conv", exact_conv, "Without Winograd on the CPU");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto compute = lookalike::parse_compute(device, precision, exact_conv ? "exact" : "native");
    fmt::print("{}\n", lookalike::time_embedding(model, size, batch, seconds, compute).dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "embed_bench: {}\n", error.what());
    return 1;
  }
}
