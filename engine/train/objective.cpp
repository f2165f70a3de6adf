#include "engine/train/objective.h"

#include <map>

#include "engine/ops/activation.h"
#include "engine/ops/gather_rows.h"

namespace lookalike {
namespace {

// Samples as they are; or each sample, which is similar, and its first image with the second one of a random other sample.
std::vector<LabelledPair> pairs_of(const LossInput& in) {
  const int64_t n = std::ssize(in.labels) / 2;
  std::vector<LabelledPair> pairs;
  if (in.mixed_samples) {
    for (int32_t i = 0; i < n; i++) pairs.push_back({i, static_cast<int32_t>(n + i), PairLabel::similar});
  } else {
    pairs = twin_pairs(n, in.seed);
  }
  for (LabelledPair& pair : pairs)
    pair.label = in.labels[pair.i] == in.labels[pair.j] ? PairLabel::similar : PairLabel::dissimilar;
  return pairs;
}

Objective contrastive(Options& options) {
  ContrastiveOptions loss;
  loss.margin = options.number("margin", 1, 0, kLargeNumber);
  loss.half = options.flag("half", false);
  loss.hinge =
      options.choice("hinge", "distance", {"distance", "squared"}) == "squared" ? Hinge::squared : Hinge::distance;
  return {.loss = [loss](const LossInput& in) { return contrastive_loss(in.output, pairs_of(in), loss); }};
}

Objective triplet(Options& options) {
  static const std::map<std::string, Negatives> kinds{{"random", Negatives::random},
                                                      {"semi_hard", Negatives::semi_hard},
                                                      {"batch_hard", Negatives::batch_hard},
                                                      {"all", Negatives::all}};
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  TripletOptions loss;
  loss.margin = options.number("margin", 0.5, 0, kLargeNumber);
  loss.squared = options.flag("squared", false);
  loss.negatives = kinds.at(options.choice("negatives", "batch_hard", names));
  return {.loss = [loss](const LossInput& in) {
    TripletOptions seeded = loss;
    seeded.seed = in.seed;
    return triplet_loss(in.output, in.labels, seeded);
  }};
}

Objective nt_xent(Options& options) {
  const double temperature = options.number("temperature", 0.1, 1 / kLargeNumber, kLargeNumber);
  return {.loss = [temperature](const LossInput& in) { return nt_xent_loss(in.output, temperature); }};
}

Objective barlow_twins(Options& options) {
  const double lambda = options.number("lambda", 5e-3, 0, kLargeNumber);
  return {.loss = [lambda](const LossInput& in) { return barlow_twins_loss(in.output, lambda); }};
}

Objective softmax(Options&) {
  return {.loss = [](const LossInput& in) { return softmax_cross_entropy_loss(in.output, in.labels); }};
}

// Whether the images of a pair match, judged by the network's matcher.
Objective match(Options&) {
  return {.loss = [](const LossInput& in) {
    check(in.matcher != nullptr, "loss 'match': the network has no matcher, expected model.head.matcher");
    std::vector<int32_t> left, right;
    std::vector<float> targets;
    for (const LabelledPair& pair : pairs_of(in)) {
      left.push_back(pair.i), right.push_back(pair.j);
      targets.push_back(pair.label == PairLabel::similar ? 1.0f : 0.0f);
    }
    const Variable logits = in.matcher->logits(gather_rows(in.output, left), gather_rows(in.output, right));
    const Tensor target = Tensor::from({std::ssize(targets)}, targets).to(in.output.dtype());
    return bce_with_logits_loss(logits, target.to(in.output.device()));
  }};
}

// An autoencoder's logits against pictures with values in [0, 1].
Objective reconstruction(Options& options) {
  const std::string direction =
      options.choice("direction", "right_to_left", {"right_to_left", "left_to_right", "same"});
  const bool bce = options.choice("measure", "bce", {"bce", "mse"}) == "bce";
  const InputViews input = direction == "same"            ? InputViews::both
                           : direction == "right_to_left" ? InputViews::right
                                                          : InputViews::left;
  return {.loss =
              [input, bce](const LossInput& in) {
                const int64_t n = in.images.shape()[0] / 2;
                const Tensor target = input == InputViews::both    ? in.images
                                      : input == InputViews::right ? in.images.rows(0, n)
                                                                   : in.images.rows(n, 2 * n);
                check(in.output.shape() == target.shape(),
                      "loss 'reconstruction': the network makes {}, expected pictures {}", in.output.shape(),
                      target.shape());
                return bce ? bce_with_logits_loss(in.output, target) : mse_loss(sigmoid(in.output), target);
              },
          .input = input};
}

const std::map<std::string, Objective (*)(Options&)> losses{
    {"barlow_twins", barlow_twins},     {"contrastive", contrastive}, {"match", match},     {"nt_xent", nt_xent},
    {"reconstruction", reconstruction}, {"softmax", softmax},         {"triplet", triplet},
};

}  // namespace

Tensor Objective::input_of(const Tensor& images) const {
  const int64_t n = images.shape()[0] / 2;
  return input == InputViews::both ? images : input == InputViews::left ? images.rows(0, n) : images.rows(n, 2 * n);
}

std::vector<std::string> losses_with(const std::string& key) {
  std::vector<std::string> names;
  for (const auto& [name, read] : losses) {
    Options options(nlohmann::json::object(), name);
    read(options);
    if (options.resolved().contains(key)) names.push_back(name);
  }
  return names;
}

Objective make_objective(Options& options) {
  std::vector<std::string> names;
  for (const auto& [name, read] : losses) names.push_back(name);
  const std::string name = options.choice("name", "triplet", names);
  Objective objective = losses.at(name)(options);
  objective.name = name;
  return objective;
}

}  // namespace lookalike
