// lookalike evaluate: ranks candidates with a model and prints top-k beside chance and the picture itself.
#include <filesystem>
#include <memory>

#include "engine/eval/embed.h"
#include "engine/eval/protocol.h"
#include "engine/io/atomic_file.h"
#include "models/model.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

struct EvaluateArguments {
  std::string model, data, pairs, candidates, truth, json, scores;
  int64_t count = 20, lists = 5;
  uint64_t seed = 0;
  ComputeArguments compute;
};

// The images of one side of a protocol, in its order.
ImageStore load_side(const fs::path& folder, const std::vector<std::string>& names, const std::string& where,
                     const Preprocess& preprocess) {
  const ImageFolder images(folder);
  std::vector<std::string> files;
  for (const std::string& name : names) files.push_back(images.find(name, where));
  return ImageStore(files, preprocess);
}

Tensor pixels_of(const ImageStore& store) {
  const Tensor images = store.batch(store.all());
  return images.reshape({images.shape()[0], images.shape().row_size()});
}

void run_evaluate(const EvaluateArguments& arguments) {
  const bool labelled = arguments.candidates.empty() || !arguments.truth.empty();
  check(labelled || (!arguments.scores.empty() && arguments.json.empty()),
        "--candidates without --truth has no accuracy, only --scores");
  const Compute compute = arguments.compute.parse();
  const Model model = load_model(arguments.model);
  prepare_network(*model.network, compute);
  const fs::path data = arguments.data;
  Protocol protocol;
  std::string where = arguments.candidates;
  if (arguments.candidates.empty()) {
    where = data / (fs::exists(data / "test.csv") ? "test.csv" : "pairs.csv");
    if (!arguments.pairs.empty()) where = arguments.pairs;
    protocol = make_protocol(read_pairs(where), arguments.count, arguments.lists, arguments.seed);
  } else {
    protocol = read_protocol(arguments.candidates, arguments.truth);
  }
  const ImageStore left = load_side(data / "left", protocol.left, where, model.preprocess);
  const ImageStore right = load_side(data / "right", protocol.right, where, model.preprocess);
  const Tensor scores =
      score_candidates(embed(*model.network, left, left.all(), compute),
                       embed(*model.network, right, right.all(), compute), protocol.lists, Similarity::cosine);
  if (!arguments.scores.empty()) write_scores(arguments.scores, protocol, scores);
  if (!labelled) {
    fmt::print("{}: scores of {} lists of {} candidates\n", arguments.scores, protocol.lists.lists(),
               protocol.lists.count);
    return;
  }

  Tensor mean;
  if (fs::exists(data / "train.csv"))
    mean = mean_row(pixels_of(load_pairs(data, data / "train.csv", model.preprocess).images));
  std::vector<Report> reports = baseline_reports(protocol, pixels_of(left), pixels_of(right), mean);
  reports.push_back(evaluate_scores(arguments.model, protocol, scores));
  if (!arguments.json.empty()) {
    nlohmann::ordered_json json{{"model", to_json(reports.back())}};
    for (size_t i = 0; i + 1 < reports.size(); i++) json["baselines"][reports[i].name] = to_json(reports[i]);
    write_file_atomically(arguments.json, json.dump(2) + "\n");
  }
  fmt::print("{}\n{}", ranking_table(reports), verification_table(std::span(&reports.back(), 1)));
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand("evaluate", "Rank the candidates of each left image and print top-k");
  command->add_option("model", arguments->model, "Checkpoint (RUN/model.safetensors)")->required();
  command->add_option("--data", arguments->data, "Folder with left/ and right/")->required();
  auto* pairs =
      command->add_option("--pairs", arguments->pairs,
                          "Pairs to rank, against random candidates (default: test.csv of --data, else pairs.csv)");
  auto* candidates = command->add_option("--candidates", arguments->candidates, "Candidate lists to rank, left,c0,...");
  candidates->excludes(pairs);
  command->add_option("--truth", arguments->truth, "True partners for --candidates, left,right")->needs(candidates);
  command->add_option("--scores", arguments->scores, "Write a score for each cell of --candidates, as CSV")
      ->needs(candidates);
  const auto of_random_lists = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->capture_default_str()->excludes(candidates);
  };
  of_random_lists("--count", arguments->count, "Random candidates a query");
  of_random_lists("--lists", arguments->lists, "Random lists a query");
  of_random_lists("--seed", arguments->seed, "Of the random candidates");
  command->add_option("--json", arguments->json, "Also write the results here");
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_evaluate(*arguments); });
}

}  // namespace lookalike
