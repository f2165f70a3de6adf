// A collapse is noticed, and networks that are well are left in peace.
#include "engine/train/collapse.h"

#include <doctest/doctest.h>

#include "tests/op_case.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using testing::random_tensor;

Recipe recipe_of(const std::string& toml = "") {
  TemporaryFolder folder;
  write_bytes(folder / "r.toml", toml);
  return read_recipe(folder / "r.toml", {});
}

// Ten queries, each with its partner and four others.
CandidateLists lists_of_ten() {
  CandidateLists lists{.count = 5};
  for (int64_t i = 0; i < 10; i++) {
    lists.query.push_back(i);
    lists.truth.push_back(2);
    for (const int64_t other : {1, 2, 0, 3, 4}) lists.candidates.push_back((i + other) % 10);
  }
  return lists;
}

const EpochSigns kHealthy{.similarity = {Similarity::cosine, 0.9, 0.7, 0.3},
                          .rank = 8,
                          .dimensions = 16,
                          .classes = 10,
                          .loss = 0.4,
                          .active_share = 0.5,
                          .epoch = 3,
                          .training_images = 1000};

TEST_CASE("similarities of matching and of other images, and a spread without a scale") {
  const Tensor left = random_tensor({10, 6}, DType::f32, 1), right = left.clone();
  Tensor large = left.clone();
  for (float& value : large.span<float>()) value *= 1000;
  const MeanSimilarity by_cosine = mean_similarity(left, right, lists_of_ten(), Similarity::cosine);
  CHECK(by_cosine.matching == doctest::Approx(1));
  CHECK(by_cosine.spread == doctest::Approx(1 - by_cosine.other));
  const MeanSimilarity small = mean_similarity(left, left, lists_of_ten(), Similarity::negative_distance),
                       scaled = mean_similarity(large, large, lists_of_ten(), Similarity::negative_distance);
  CHECK(small.matching == 0);
  CHECK(scaled.other == doctest::Approx(1000 * small.other));
  CHECK(scaled.spread == doctest::Approx(small.spread));
  Tensor constant({10, 6});
  constant.fill(0.3);
  for (const Similarity similarity : {Similarity::cosine, Similarity::negative_distance})
    for (const Tensor& rows : {constant, Tensor::zeros({10, 6})})
      CHECK(mean_similarity(rows, rows, lists_of_ten(), similarity).spread == doctest::Approx(0));
}

TEST_CASE("a collapse is told with its causes and their settings") {
  const Recipe recipe = recipe_of("[loss]\nname = \"triplet\"\nnegatives = \"batch_hard\"\n");
  const auto warning = [&](auto change) {
    EpochSigns signs = kHealthy;
    change(signs);
    return collapse_warning(signs, recipe);
  };
  CHECK(warning([](EpochSigns&) {}) == "");
  const std::string equal = warning([](EpochSigns& s) { s.similarity.spread = 1e-4, s.similarity.other = 0.9999; });
  for (const char* part :
       {"epoch 3", "mean cosine: 0.9999", "optimizer.learning_rate=0.0001", "loss.negatives=semi_hard"})
    CHECK(equal.find(part) != std::string::npos);
  CHECK(equal.find('\n') == std::string::npos);
  CHECK(equal.find("training images") == std::string::npos);
  const std::string few = warning([](EpochSigns& s) { s.similarity.spread = 1e-4, s.training_images = 80; });
  CHECK(few.find("80 training images") != std::string::npos);
  CHECK(few.size() < 290);  // longer messages are cut
  // Narrow, and the loss of equal embeddings; either alone is no collapse.
  CHECK(warning([](EpochSigns& s) { s.similarity.spread = 0.01, s.loss = 0.501, s.loss_if_equal = 0.5; }) != "");
  CHECK(warning([](EpochSigns& s) { s.similarity.spread = 0.01, s.loss = 0.4, s.loss_if_equal = 0.5; }) == "");
  CHECK(warning([](EpochSigns& s) { s.similarity.spread = 0.3, s.loss = 0.5, s.loss_if_equal = 0.5; }) == "");
  // A line: no wonder in two dimensions, or of two classes.
  CHECK(warning([](EpochSigns& s) { s.rank = 1.02; }).find("on a line") != std::string::npos);
  CHECK(warning([](EpochSigns& s) { s.rank = 1.02, s.dimensions = 2; }) == "");
  CHECK(warning([](EpochSigns& s) { s.rank = 1.02, s.classes = 2; }) == "");
  CHECK(warning([](EpochSigns& s) { s.never_active = true; }).find("loss.margin") != std::string::npos);
  EpochSigns signs = kHealthy;
  signs.never_active = true;  // losses that know no margin have no share
  CHECK(collapse_warning(signs, recipe_of("[loss]\nname = \"barlow_twins\"\n")) == "");
}

}  // namespace
}  // namespace lookalike
