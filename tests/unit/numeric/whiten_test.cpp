#include "models/whiten.h"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/eval/eigen.h"
#include "engine/eval/embed.h"
#include "engine/train/checkpoint.h"
#include "models/center.h"
#include "tests/op_case.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

TEST_CASE("eigenvalues and eigenvectors are NumPy's") {
  const SymmetricEigen eigen = symmetric_eigen({4, 1, -2, 2, 1, 2, 0, 1, -2, 0, 3, -2, 2, 1, -2, -1}, 4);
  const double values[] = {6.84462111, 2.26853141, 1.08436446, -2.19751698};
  const double first[] = {-0.71804596, -0.22115299, 0.55735138, -0.35335647};
  for (int i = 0; i < 4; i++) {
    CHECK(eigen.values[i] == doctest::Approx(values[i]).epsilon(1e-7));
    CHECK(std::abs(eigen.vectors[i]) == doctest::Approx(std::abs(first[i])).epsilon(1e-7));
  }
  CHECK(symmetric_eigen({3}, 1).values[0] == 3);
}

TEST_CASE("a symmetric matrix of low rank is the sum of its directions") {
  constexpr int64_t n = 150, rank = 20;
  Random random(1, RandomUse::weights, 0);
  std::vector<double> x(n * rank), a(n * n);
  for (double& value : x) value = random.uniform(-1, 1);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t k = 0; k < rank; k++) a[i * n + j] += x[i * rank + k] * x[j * rank + k];
  const SymmetricEigen eigen = symmetric_eigen(a, n);
  double error = 0, skew = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0, product = 0;
      for (int64_t k = 0; k < n; k++) {
        sum += eigen.values[k] * eigen.vectors[k * n + i] * eigen.vectors[k * n + j];
        product += eigen.vectors[i * n + k] * eigen.vectors[j * n + k];
      }
      error = std::max(error, std::abs(sum - a[i * n + j]));
      skew = std::max(skew, std::abs(product - (i == j ? 1 : 0)));
    }
  }
  CHECK(error < 1e-11);
  CHECK(skew < 1e-12);
  CHECK(std::abs(eigen.values[rank]) < 1e-11);
}

struct Pictures {
  Pictures() {
    std::vector<Pair> pairs;
    for (int i = 0; i < 12; i++) {
      const std::string name = fmt::format("p{}", i);
      folder.write("left/" + name + ".png", encode_png(test_image(8, 8, 3, i)));
      folder.write("right/" + name + ".png", encode_png(test_image(8, 8, 3, 100 + i)));
      pairs.push_back({name, name});
    }
    write_pairs(folder.path("pairs.csv"), pairs);
  }
  Model model() const {
    return build_model({{"name", "siamese_cnn"}, {"filters", {4}}, {"kernels", {3}}, {"embedding", 16}},
                       Preprocess{.height = 8, .width = 8}, 1, "test");
  }
  DataFolder folder;
};

TEST_CASE("whitened embeddings vary alike in every direction, and less where shrinkage holds them back") {
  const Pictures pictures;
  for (const int64_t count : {5, 100}) {  // by the images' products and, of 24 images with 16 numbers, by the numbers'
    for (const char* images : {"left", "pairs.csv"}) {
      const Model model = pictures.model();
      const std::string source = pictures.folder.path(images);
      const Whitening whitening = whitening_of(model, source, count, 0, {});
      const int64_t k = whitening.directions.shape()[0];
      CHECK(k <= std::min<int64_t>(count, source.ends_with("left") ? 11 : 16));
      CHECK((count > 5 || k == 5));
      const ImageFiles files = image_files_of(source);
      const Tensor rows = embed_files(*model.network, files.files, model.preprocess);
      std::vector<double> products(k * k);
      for (int64_t row = 0; row < rows.shape()[0]; row++) {
        const Tensor& mean = files.sides[row] == PairSide::right  ? whitening.right_mean
                             : files.sides[row] == PairSide::left ? whitening.left_mean
                                                                  : whitening.mean;
        std::vector<double> y(k);
        for (int64_t i = 0; i < k; i++)
          for (int64_t j = 0; j < 16; j++)
            y[i] += double{whitening.directions.data<float>()[i * 16 + j]} *
                    (rows.data<float>()[row * 16 + j] - mean.data<float>()[j]);
        for (int64_t i = 0; i < k * k; i++) products[i] += y[i / k] * y[i % k];
      }
      for (int64_t i = 0; i < std::min<int64_t>(k, 5); i++)
        for (int64_t j = 0; j < std::min<int64_t>(k, 5); j++)
          CHECK(products[i * k + j] / products[0] == doctest::Approx(i == j ? 1 : 0).epsilon(0.01));
      const Whitening held = whitening_of(model, source, count, 0.1, {});
      CHECK(held.directions.data<float>()[0] == doctest::Approx(whitening.directions.data<float>()[0] / 1.1));
    }
  }
}

TEST_CASE("a whitening travels in the model, and each side is taken minus its own mean") {
  const Pictures pictures;
  Model model = pictures.model();
  set_whitening(model, whitening_of(model, pictures.folder.path("pairs.csv"), 8, 0.1, {}), "m");
  CHECK(error_of([&] { set_whitening(model, {}, "m"); }) == "m: whitens its embeddings already");
  const std::string path = pictures.folder.path("whitened.safetensors");
  write_checkpoint(path, {model.config, {}, {}, model.preprocess, tensors_of(state_of(*model.network))});
  const Model loaded = load_model(path);
  const std::vector<std::string> file{pictures.folder.path("left/p0.png")};
  const auto embedding = [&](const Model& of, PairSide side) {
    return embed_files(*of.network, file, of.preprocess, {}, nullptr, side);
  };
  const auto same = [](const Tensor& a, const Tensor& b) { return std::equal(a.raw(), a.raw() + a.bytes(), b.raw()); };
  for (const PairSide side : {PairSide::any, PairSide::left, PairSide::right}) {
    CHECK(embedding(model, side).shape() == Shape{1, 8});
    CHECK(same(embedding(model, side), embedding(loaded, side)));
    double length = 0;
    const Tensor row = embedding(model, side);
    for (const float value : std::as_const(row).span<float>()) length += double{value} * value;
    CHECK(length == doctest::Approx(1));
  }
  CHECK(!same(embedding(model, PairSide::left), embedding(model, PairSide::right)));
  CHECK(!same(embedding(model, PairSide::left), embedding(model, PairSide::any)));
  // A file that claims more directions than there are dimensions.
  Checkpoint lying = read_checkpoint(path);
  lying.model["whiten"]["directions"] = 1'000'000;
  write_checkpoint(path, lying);
  CHECK(error_of([&] { load_model(path); }).find("directions") != std::string::npos);
}

// The head of classes takes all dimensions, of which fewer are left.
TEST_CASE("a network with classes is whitened without them") {
  const Pictures pictures;
  Model model = build_model({{"name", "efficientnet_lite0"}, {"classes", 3}},
                            Preprocess{.height = 32, .width = 32}, 1, "test");
  const Whitening whitening =
      whitening_of(model, pictures.folder.path("pairs.csv"), 8, 0.1, {});
  set_whitening(model, whitening, "m");
  const std::string path = pictures.folder.path("whitened.safetensors");
  write_checkpoint(path, checkpoint_of(model));
  const Model loaded = load_model(path);
  const std::vector<std::string> file{pictures.folder.path("left/p0.png")};
  CHECK(embed_files(*loaded.network, file, loaded.preprocess).shape() == Shape{1, 8});
}

}  // namespace
}  // namespace lookalike
