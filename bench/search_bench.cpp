// Times the exact search of random unit rows, as `lookalike search` has it; bench/peers/search.py
// does it in faiss and PyTorch. Prints one line of JSON for each number of queries, or one of near
// duplicates.
#include <exception>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.h"
#include "engine/core/random.h"
#include "engine/eval/retrieval.h"
#include "engine/search/index_file.h"
#include "engine/search/search.h"

namespace lookalike {
namespace {

Tensor unit_rows(int64_t n, int64_t d, uint64_t seed) {
  Tensor rows({n, d});
  Random random(seed, RandomUse::test);
  for (float& value : rows.span<float>()) value = random.uniform(-1.0f, 1.0f);
  return normalize_rows(rows);
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times exact top-k search of random rows in memory");
  int64_t rows = 1'000'000, width = 128, k = 20;
  std::vector<int64_t> queries{1};
  double seconds = 5;
  std::string storage = "f32";
  bool duplicates = false;
  app.add_option("--rows", rows, "Of the database")->capture_default_str();
  app.add_option("--width", width, "Values of a row")->capture_default_str();
  app.add_option("--queries", queries, "At a time, one or more counts")->capture_default_str();
  app.add_option("--k", k, "Rows wanted of each query")->capture_default_str();
  app.add_option("--seconds", seconds, "How long to measure each")->capture_default_str();
  app.add_option("--storage", storage, "How the rows are kept: f32 or f16")->capture_default_str();
  app.add_flag("--duplicates", duplicates, "Time near duplicates, of which there are none");
  CLI11_PARSE(app, argc, argv);
  try {
    using namespace lookalike;
    Tensor database = unit_rows(rows, width, 1);
    if (duplicates) {
      const Times times = time_runs(
          0, [&] { find_duplicates(database.clone(), Similarity::cosine, 0.99f, Device::cpu); });
      // Each row with those before it.
      const double flops = static_cast<double>(rows) * static_cast<double>(rows) *
                           static_cast<double>(width);
      const nlohmann::json line{{"duplicates_of", rows},
                                {"width", width},
                                {"seconds", times.fastest()},
                                {"gflops", flops / times.fastest() / 1e9},
                                {"threads", omp_get_max_threads()}};
      fmt::print("{}\n", line.dump());
      return 0;
    }
    database = stored_as(database, parse_storage(storage));
    const Searcher searcher(database, Similarity::cosine, Device::cpu);
    for (const int64_t count : queries) {
      const Tensor wanted = unit_rows(count, width, 2);
      const Times times = time_runs(seconds, [&] { searcher.find(wanted, k); });
      const nlohmann::json line{{"rows", rows},
                                {"width", width},
                                {"queries", count},
                                {"k", k},
                                {"storage", storage},
                                {"ms", 1e3 * times.median()},
                                {"best_ms", 1e3 * times.fastest()},
                                {"threads", omp_get_max_threads()}};
      fmt::print("{}\n", line.dump());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "search_bench: {}\n", error.what());
    return 1;
  }
}
