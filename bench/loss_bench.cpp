// Times the fused losses, forward and backward, on random unit rows; bench/peers/losses_torch.py
// has their twins. Prints one line of JSON: milliseconds by name, as gpu_bench names its rows.
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.h"
#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/eval/retrieval.h"
#include "engine/losses/loss.h"

namespace lookalike {
namespace {

constexpr int64_t kWidth = 128;

// `name` ends in a count: of rows for batch-hard triplets, whose classes have two, of pairs of rows
// for NT-Xent.
double time_loss(const std::string& name, double seconds) {
  const size_t space = name.rfind(' ');
  const std::string loss = name.substr(0, space);
  const bool pairs = loss == "nt_xent";
  const int64_t count = space == std::string::npos ? 0 : std::atoll(name.c_str() + space);
  check((pairs && count >= 1) || (loss == "triplet batch_hard" && count >= 2),
        "'{}', expected 'nt_xent PAIRS' or 'triplet batch_hard ROWS'", name);
  const int64_t n = count * (pairs ? 2 : 1);
  Random random(0, RandomUse::test);
  Tensor rows({n, kWidth});
  for (float& value : rows.span<float>()) value = random.uniform(-1.0f, 1.0f);
  Variable embeddings(normalize_rows(rows), true);
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < n; i++) labels.push_back(static_cast<int32_t>(i % (n / 2)));
  const Times times = time_runs(seconds, [&] {
    LossResult result =
        pairs ? nt_xent_loss(embeddings, 0.1) : triplet_loss(embeddings, labels, {.margin = 0.5});
    result.loss.backward();
    embeddings.grad() = Tensor();
  });
  return 1e3 * times.median();
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times the fused losses on random rows in memory");
  std::vector<std::string> names{"triplet batch_hard 4096", "nt_xent 2048"};
  double seconds = 5;
  app.add_option("names", names, "'nt_xent PAIRS' or 'triplet batch_hard ROWS', one or more")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "How long to measure each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    nlohmann::json times;
    for (const std::string& name : names) times[name] = lookalike::time_loss(name, seconds);
    const nlohmann::json line{{"milliseconds", times}, {"threads", omp_get_max_threads()}};
    fmt::print("{}\n", line.dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "loss_bench: {}\n", error.what());
    return 1;
  }
}
