// Times embedding of random images in memory with an ImageNet network: forward in evaluation, batch norms folded. What
// bench/peers/embed.py does with ONNX Runtime, OpenVINO and PyTorch; bench/compare_peers.py runs them all. Prints
// one line of JSON for each batch.
#include <iterator>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.h"
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

  const Times times = time_runs(seconds, run);
  return {{"model", name},
          {"size", size},
          {"batch", batch},
          {"images_per_s", static_cast<double>(batch * std::ssize(times.each)) / times.all},
          {"best_images_per_s", static_cast<double>(batch) / times.fastest()},
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
  int64_t size = 224;
  std::vector<int64_t> batches{32};
  app.add_option("--model", model, "efficientnet_lite0, squeezenet or resnet50")->capture_default_str();
  app.add_option("--size", size, "Height and width of the images")->capture_default_str();
  app.add_option("--batch", batches, "Images at a time, one or more counts")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "How long to measure")->capture_default_str();
  app.add_option("--device", device, "cpu or cuda")->capture_default_str();
  app.add_option("--precision", precision, "fp32, or on the GPU tf32 or bf16")->capture_default_str();
  app.add_flag("--exact-conv", exact_conv, "Without Winograd on the CPU");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto compute = lookalike::parse_compute(device, precision, exact_conv ? "exact" : "native");
    for (const int64_t batch : batches) {
      fmt::print("{}\n", lookalike::time_embedding(model, size, batch, seconds, compute).dump());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "embed_bench: {}\n", error.what());
    return 1;
  }
}
