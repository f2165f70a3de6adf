#include "engine/train/collapse.h"

#include <cmath>

#include <fmt/ranges.h>

#include "engine/core/error.h"

namespace lookalike {

namespace {

constexpr double kNoSpread = 1e-3;   // a cosine of 0.999
constexpr double kOnALine = 1.1;     // effective rank
constexpr double kAtItsEnd = 0.01;   // how near a loss is to that of equal embeddings, in parts of it
constexpr int64_t kFewClasses = 4;   // two classes that are told apart well lie on a line
constexpr int64_t kFewImages = 400;  // a network that starts from random weights wants more

bool needs_negatives(const Recipe& recipe) {
  return recipe.objective.name == "triplet" || recipe.objective.name == "contrastive";
}

std::string option(const Recipe& recipe, const char* section, const char* key) {
  const auto at = recipe.resolved.find(section);
  if (at == recipe.resolved.end() || !at->contains(key)) return "";
  return (*at)[key].is_string() ? (*at)[key].get<std::string>() : (*at)[key].dump();
}

}  // namespace

MeanSimilarity mean_similarity(const Tensor& left, const Tensor& right, const CandidateLists& lists,
                               Similarity similarity) {
  const bool cosine = similarity == Similarity::cosine;
  const Tensor a = cosine ? normalize_rows(left) : left, b = cosine ? normalize_rows(right) : right;
  const int64_t d = a.shape()[1];
  MeanSimilarity mean{.measure = similarity};
  double squares = 0, lengths = 0;
  int64_t others = 0;
  for (int64_t list = 0; list < lists.lists(); list++) {
    const float* x = a.data<float>() + lists.query[list] * d;
    for (int64_t i = 0; i < lists.length(list); i++) {
      const float* y = b.data<float>() + lists.candidates[list * lists.count + i] * d;
      double dot = 0, square = 0, length = 0;
      for (int64_t k = 0; k < d; k++) {
        const double difference = double{x[k]} - y[k];
        dot += double{x[k]} * y[k], square += difference * difference;
        length += double{x[k]} * x[k] + double{y[k]} * y[k];
      }
      const double value = cosine ? dot : std::sqrt(square);
      if (i == lists.truth[list]) {
        mean.matching += value / static_cast<double>(lists.lists());
      } else {
        mean.other += value, squares += square, lengths += length;
        others++;
      }
    }
  }
  if (others > 0) mean.other /= static_cast<double>(others);
  mean.spread = lengths > 0 ? squares / lengths : 0;
  return mean;
}

std::string collapse_warning(const EpochSigns& signs, const Recipe& recipe) {
  const MeanSimilarity& similarity = signs.similarity;
  if (signs.never_active && needs_negatives(recipe))
    return fmt::format(
        "nothing has been learned: no {} had a loss above 0 so far; likely causes: a margin that is too small "
        "(loss.margin is {}, set "
        "with --set loss.margin=NUMBER), weights that know all of it already, or batches of one class",
        recipe.objective.name == "triplet" ? "triplet" : "pair", option(recipe, "loss", "margin"));

  std::string sign;
  if (similarity.spread < kNoSpread ||
      (similarity.spread < kNarrowSpread &&
       std::abs(signs.loss - signs.loss_if_equal) < kAtItsEnd * std::abs(signs.loss_if_equal))) {
    sign = fmt::format("all images get nearly the same embedding (mean {}: {:.4g}, of matches {:.4g})",
                       name_of(similarity.measure), similarity.other, similarity.matching);
  } else if (signs.dimensions > 2 && signs.classes >= kFewClasses && signs.rank < kOnALine) {
    sign = fmt::format("all embeddings lie on a line (effective rank {:.2f} of {})", signs.rank, signs.dimensions);
  } else {
    return "";
  }
  std::vector<std::string> causes{
      fmt::format("too large a learning rate (--set optimizer.learning_rate={:.1g})",
                  recipe.resolved["optimizer"]["learning_rate"].get<double>() / 10)};
  const std::string negatives = option(recipe, "loss", "negatives");
  if (negatives == "batch_hard" || recipe.hard_negatives)
    causes.push_back(
        fmt::format("too hard negatives (--set {})",
                    negatives == "batch_hard" ? "loss.negatives=semi_hard" : "sampler.hard_negatives=false"));
  if (signs.training_images < kFewImages && recipe.freeze.empty())
    causes.push_back(
        fmt::format("{} training images, few for random weights (see --start, --freeze)",
                    signs.training_images));
  return fmt::format("epoch {}: {}; likely causes: {}", signs.epoch, sign, fmt::join(causes, ", "));
}

}  // namespace lookalike
