// lookalike compare: how alike two images are to a model.
#include <cmath>
#include <memory>

#include "engine/eval/embed.h"
#include "engine/eval/retrieval.h"
#include "models/center.h"
#include "models/model.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

struct CompareArguments {
  std::string model, a, b, center;
  ComputeArguments compute;
};

void run_compare(const CompareArguments& arguments) {
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  Network& network = *model.network;
  if (!arguments.center.empty()) use_center(model, arguments.model, arguments.center, compute);
  network.fold();
  prepare_network(network, compute);
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
  if (network.matcher)
    print_line("logit {:.4f}, probability of a match {:.2f} %", value,
               100 / (1 + std::exp(-value)));
  else if (network.similarity == Similarity::cosine)
    print_line("cosine {:.4f}", value);
  else
    print_line("distance {:.4f}", -value);
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
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_compare(*arguments); });
}

}  // namespace lookalike
