// Times training steps on random images in memory: forward, loss, backward, optimiser, on one stacked batch of pairs.
// What bench/peers/train_torch.py does in PyTorch; bench/compare_peers.py runs both. Prints one line of JSON.
#include <map>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.h"
#include "engine/core/random.h"
#include "engine/optim/optimizer.h"
#include "engine/train/objective.h"
#include "models/model.h"

namespace lookalike {
namespace {

struct Workload {
  nlohmann::json model, loss;
  int64_t pairs, size, channels;  // of a batch; of images
  double rate;  // small where random images would soon be known by heart: a loss of 0 has no gradient
  OptimizerOptions optimizer;
};

Workload workload_of(const std::string& name) {
  const nlohmann::json batch_hard{{"name", "triplet"}, {"negatives", "batch_hard"}, {"margin", 0.5}};
  const std::map<std::string, Workload> workloads{
      {"siamese_cnn", {{{"name", "siamese_cnn"}}, batch_hard, 32, 64, 3, 1e-6, {.name = "adam"}}},
      {"convnet_bn",
       {{{"name", "convnet_bn"}},
        {{"name", "nt_xent"}, {"temperature", 0.1}},
        64,
        64,
        3,
        2e-3,
        {.name = "adamw", .weight_decay = 0.05}}},
      {"autoencoder",
       {{{"name", "autoencoder"}},
        {{"name", "reconstruction"}, {"direction", "same"}},
        16,
        128,
        1,
        1e-3,
        {.name = "adam"}}},
      {"resnet50",
       {{{"name", "resnet50"}, {"head", {{"normalize", true}}}}, batch_hard, 8, 224, 3, 1e-2, {.name = "sgd"}}},
      {"efficientnet_lite0",
       {{{"name", "efficientnet_lite0"}, {"head", {{"dropout", 0.3}, {"embedding", 256}}}},
        {{"name", "nt_xent"}, {"temperature", 0.05}},
        32,
        224,
        3,
        2e-4,
        {.name = "adamw", .weight_decay = 0.05}}},
  };
  const auto found = workloads.find(name);
  check(found != workloads.end(),
        "--model {}, expected siamese_cnn, convnet_bn, autoencoder, resnet50 or efficientnet_lite0", name);
  return found->second;
}

std::vector<Tensor> random_batches(int64_t count, const Shape& shape) {
  std::vector<Tensor> batches;
  for (int64_t i = 0; i < count; i++) {
    Random random(0, RandomUse::test, static_cast<uint64_t>(i));
    Tensor images(shape);
    for (float& x : images.span<float>()) x = random.uniform(0.0f, 1.0f);
    batches.push_back(images);
  }
  return batches;
}

nlohmann::json time_training(const std::string& name, double seconds, const Compute& compute) {
  const Workload work = workload_of(name);
  const Preprocess preprocess{.height = work.size,
                              .width = work.size,
                              .channels = work.channels,
                              .mean = std::vector<float>(work.channels, 0),
                              .std = std::vector<float>(work.channels, 1)};
  const Model model = build_model(work.model, preprocess, 0, "train_bench");
  prepare_network(*model.network, compute);
  const auto optimizer = make_optimizer(work.optimizer, model.network->trainable());
  Options options(work.loss, "train_bench");
  const Objective objective = make_objective(options);
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < 2 * work.pairs; i++) labels.push_back(static_cast<int32_t>(i % work.pairs));
  std::vector<Tensor> batches;
  for (const Tensor& images : random_batches(4, {2 * work.pairs, work.size, work.size, work.channels})) {
    batches.push_back(place_input(images, compute));
  }
  const auto step = [&](size_t i) {
    const Tensor& images = batches[i % batches.size()];
    const Variable output = model.network->training_output(Variable(images), {.training = true, .views = 2});
    Variable loss = objective.loss({.output = output, .labels = labels, .images = images}).loss;
    loss.backward();
    optimizer->step(work.rate);
    optimizer->zero_grad();
    return loss;
  };

  // Reading a loss waits for the device: on the GPU only every so many steps, as the trainer does.
  const size_t stretch = compute.device == Device::cpu ? 1 : 16;
  size_t steps = 0;
  double loss = 0;
  const Times times = time_runs(seconds, [&] {
    for (size_t i = 1; i < stretch; i++) step(steps++);
    loss = step(steps++).value().item();
  });
  const auto images = static_cast<double>(2 * work.pairs * static_cast<int64_t>(stretch));
  return {{"model", name},
          {"images_per_s", static_cast<double>(times.each.size()) * images / times.all},
          {"best_images_per_s", images / times.fastest()},
          {"steps", times.each.size() * stretch},
          {"loss", loss},
          {"device", name_of(compute.device)},
          {"threads", omp_get_max_threads()}};
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times training steps on random images in memory");
  std::string model = "siamese_cnn", device = "cpu", precision = "fp32";
  bool exact_conv = false;
  double seconds = 5;
  app.add_option("--model", model, "siamese_cnn, convnet_bn, autoencoder, resnet50 or efficientnet_lite0")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "How long to measure")->capture_default_str();
  app.add_option("--device", device, "cpu or cuda")->capture_default_str();
  app.add_option("--precision", precision, "fp32, or on the GPU tf32 or bf16")->capture_default_str();
  app.add_flag("--exact-conv", exact_conv, "Without Winograd on the CPU");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto compute = lookalike::parse_compute(device, precision, exact_conv ? "exact" : "native");
    fmt::print("{}\n", lookalike::time_training(model, seconds, compute).dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "train_bench: {}\n", error.what());
    return 1;
  }
}
