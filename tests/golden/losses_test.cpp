#include "engine/losses/loss.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

using Inputs = std::vector<Variable>;

std::vector<LabelledPair> pairs_of(const Tensor& rows) {
  std::vector<LabelledPair> pairs;
  for (int64_t q = 0; q < rows.shape()[0]; q++) {
    const int32_t* row = rows.data<int32_t>() + 3 * q;
    pairs.push_back({row[0], row[1], row[2] ? PairLabel::similar : PairLabel::dissimilar});
  }
  return pairs;
}

TEST_CASE("contrastive loss gives PyTorch's values") {
  const TensorFile file = read_golden("losses");
  const auto pairs = pairs_of(file.tensors.at("pairs"));
  for (const bool half : {false, true}) {
    for (const Hinge hinge : {Hinge::distance, Hinge::squared}) {
      const std::string name =
          std::string("contrastive") + (half ? "_half" : "") + (hinge == Hinge::squared ? "_squared" : "");
      check_golden(file, name, {"e"}, [&](const Inputs& in) {
        return contrastive_loss(in[0], pairs, {.margin = 1.25, .half = half, .hinge = hinge}).loss;
      });
    }
  }
}

TEST_CASE("triplet loss gives PyTorch's values") {
  const TensorFile file = read_golden("losses");
  const Tensor& labels = file.tensors.at("labels");
  const std::pair<const char*, Negatives> kinds[] = {
      {"semi_hard", Negatives::semi_hard}, {"batch_hard", Negatives::batch_hard}, {"all", Negatives::all}};
  for (const auto& [word, negatives] : kinds) {
    for (const bool squared : {false, true}) {
      check_golden(file, std::string("triplet_") + word + (squared ? "_squared" : ""), {"e"}, [&](const Inputs& in) {
        const TripletOptions options{.margin = 0.5, .squared = squared, .negatives = negatives};
        return triplet_loss(in[0], labels.span<int32_t>(), options).loss;
      });
    }
  }
}

TEST_CASE("NT-Xent gives PyTorch's values") {
  const TensorFile file = read_golden("losses");
  const auto loss = [](const Inputs& in) { return nt_xent_loss(in[0], 0.1).loss; };
  check_golden(file, "nt_xent", {"e"}, loss);
  check_golden(file, "nt_xent_one", {"e"}, loss);
}

TEST_CASE("Barlow Twins gives PyTorch's values") {
  const TensorFile file = read_golden("losses");
  check_golden(file, "barlow_twins", {"z"}, [](const Inputs& in) { return barlow_twins_loss(in[0], 0.0051).loss; });
  check_golden(file, "barlow_twins_flat", {"z"}, [](const Inputs& in) { return barlow_twins_loss(in[0], 0.5).loss; });
}

TEST_CASE("losses element by element give PyTorch's values") {
  const TensorFile file = read_golden("losses");
  const std::pair<std::string, LossResult (*)(const Variable&, const Tensor&)> losses[] = {
      {"bce_with_logits", bce_with_logits_loss}, {"bce", bce_loss}, {"mse", mse_loss}};
  for (const auto& [of, loss] : losses) {
    for (const std::string& name : {of, of + "_extremes"}) {
      check_golden(file, name, {"x"}, [&, loss = loss](const Inputs& in) {
        return loss(in[0], file.tensors.at(name + ".t").to(in[0].dtype())).loss;
      });
    }
  }
}

TEST_CASE("softmax cross-entropy gives PyTorch's values") {
  const TensorFile file = read_golden("losses");
  for (const std::string name : {"softmax_cross_entropy", "softmax_cross_entropy_extremes"}) {
    const Tensor& classes = file.tensors.at(name + ".classes");
    check_golden(file, name, {"x"},
                 [&](const Inputs& in) { return softmax_cross_entropy_loss(in[0], classes.span<int32_t>()).loss; });
  }
}

}  // namespace
}  // namespace lookalike::testing
