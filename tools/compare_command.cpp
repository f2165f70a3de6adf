// lookalike compare: how alike two images are to a model.
#include <cmath>
#include <memory>

#include "engine/eval/embed.h"
#include "engine/eval/retrieval.h"
#include "models/center.h"
#include "models/model.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/results.h"

namespace lookalike {
namespace {

struct CompareArguments {
  std::string model, a, b, center;
  bool json = false;
  ComputeArguments compute;
};

const char* measure_of(const Network& network) {
  return network.matcher ? "logit"
         : network.similarity == Similarity::cosine ? "cosine"
                                                    : "negative distance";
}

nlohmann::ordered_json json_of(const CompareArguments& arguments, const Network& network,
                               const std::optional<Calibration>& calibration, double score) {
  nlohmann::ordered_json json = result_json("compare");
  json.update({{"model", arguments.model},
               {"a", arguments.a},
               {"b", arguments.b},
               {"measure", measure_of(network)},
               {"score", score},
               {"verdict", nullptr}});
  if (!calibration) return json;
  const Calibration::Point here = calibration->at(score);
  json["verdict"] = calibration->verdict(score);
  json["threshold"] = {{"value", calibration->threshold.score},
                       {"low", calibration->low},
                       {"high", calibration->high}};
  json["false_match_rate"] = here.false_match_rate;
  json["true_match_rate"] = here.true_match_rate;
  return json;
}

void run_compare(const CompareArguments& arguments) {
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  Network& network = *model.network;
  if (!arguments.center.empty()) {
    use_center(model, arguments.model, arguments.center, compute);
    model.calibration.reset();  // of other embeddings
  }
  prepare_model(model, compute);
  const auto embedding_of = [&](const std::string& file, PairSide side) {
    const Tensor embedding = embed_files(network, std::span(&file, 1), model.preprocess, compute, nullptr, side);
    check_finite(embedding, std::span(&file, 1));
    return embedding;
  };
  const CandidateLists one{.count = 1, .query = {0}, .truth = {0}, .candidates = {0}};
  const Tensor score = score_lists(network, embedding_of(arguments.a, PairSide::left),
                                   embedding_of(arguments.b, PairSide::right), one, compute);
  const double value = score.data<float>()[0];
  check(std::isfinite(value), "{} and {}: the score of {} is not a finite number", arguments.a, arguments.b,
        arguments.model);
  const std::optional<Calibration>& calibration = model.calibration;
  if (arguments.json) return print_json(json_of(arguments, network, calibration, value));
  if (network.matcher)
    print_line("logit {:.4f}, probability of a match {:.2f} %", value,
               100 / (1 + std::exp(-value)));
  else if (network.similarity == Similarity::cosine)
    print_line("cosine {:.4f}", value);
  else
    print_line("distance {:.4f}", -value);
  if (!calibration) {
    say("{} has no threshold; `lookalike calibrate MODEL --data DIR` finds and stores one",
        arguments.model);
    return;
  }
  const bool distance = !network.matcher && network.similarity != Similarity::cosine;
  const auto shown = [&](double score) { return distance ? -score : score; };
  print_line("{}: the threshold is {:.4f} [{:.4f}, {:.4f}]", calibration->verdict(value),
             shown(calibration->threshold.score), shown(distance ? calibration->high : calibration->low),
             shown(distance ? calibration->low : calibration->high));
  const Calibration::Point here = calibration->at(value);
  print_line("as much alike as this are {:.3g} % of other pairs and {:.1f} % of matching ones",
             100 * here.false_match_rate, 100 * here.true_match_rate);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command = app.add_subcommand("compare", "Print how alike two images are");
  command->footer("lookalike compare runs/mine/model.safetensors cat.jpg tiger.jpg");
  command->add_option("MODEL", arguments->model, "Checkpoint (RUN/model.safetensors), or the name of published weights")
      ->required();
  command->add_option("A", arguments->a, "An image, the left one of a pair")->required();
  command->add_option("B", arguments->b, "Another one, the right one")->required();
  add_json_flag(*command, arguments->json);
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_compare(*arguments); });
}

}  // namespace lookalike
