#include "engine/train/objective.h"

#include <map>
#include <numeric>

namespace lookalike {
namespace {

Objective contrastive(Options& options) {
  ContrastiveOptions loss;
  loss.margin = options.number("margin", 1, 0);
  loss.half = options.flag("half", false);
  loss.hinge =
      options.choice("hinge", "distance", {"distance", "squared"}) == "squared" ? Hinge::squared : Hinge::distance;
  return [loss](const Variable& e, uint64_t seed) {
    return contrastive_loss(e, twin_pairs(e.shape()[0] / 2, seed), loss);
  };
}

Objective triplet(Options& options) {
  static const std::map<std::string, Negatives> kinds{{"random", Negatives::random},
                                                      {"semi_hard", Negatives::semi_hard},
                                                      {"batch_hard", Negatives::batch_hard},
                                                      {"all", Negatives::all}};
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  TripletOptions loss;
  loss.margin = options.number("margin", 0.5, 0);
  loss.squared = options.flag("squared", false);
  loss.negatives = kinds.at(options.choice("negatives", "batch_hard", names));
  return [loss](const Variable& e, uint64_t seed) {
    const int64_t pairs = e.shape()[0] / 2;
    std::vector<int32_t> labels(2 * pairs);
    std::iota(labels.begin(), labels.begin() + pairs, 0);
    std::iota(labels.begin() + pairs, labels.end(), 0);
    TripletOptions seeded = loss;
    seeded.seed = seed;
    return triplet_loss(e, labels, seeded);
  };
}

Objective nt_xent(Options& options) {
  const double temperature = options.number("temperature", 0.1, 1e-6);
  return [temperature](const Variable& e, uint64_t) { return nt_xent_loss(e, temperature); };
}

}  // namespace

Objective make_objective(Options& options) {
  static const std::map<std::string, Objective (*)(Options&)> losses{
      {"contrastive", contrastive},
      {"triplet", triplet},
      {"nt_xent", nt_xent},
  };
  std::vector<std::string> names;
  for (const auto& [name, read] : losses) names.push_back(name);
  return losses.at(options.choice("name", "triplet", names))(options);
}

}  // namespace lookalike
