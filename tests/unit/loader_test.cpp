#include "engine/data/loader.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

const Preprocess kEightByEight{.height = 8, .width = 8};

PairData load(const DataFolder& folder, OnCorrupt on_corrupt = OnCorrupt::stop) {
  return load_pairs(folder.path(), folder.path("pairs.csv"), kEightByEight, on_corrupt);
}

bool same(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.span<float>(), b.span<float>());
}

}  // namespace

TEST_CASE("an image of several pairs is there once, and these are one class") {
  const DataFolder folder;
  write_pairs_folder(folder, 5);
  folder.write("pairs.csv", "left,right\na0,b0\na1,b1\na0.png,b2\na3,b2.png\na4,b4\n");
  const PairData data = load(folder);
  CHECK(data.images.size() == 8);
  REQUIRE(data.samples.size() == 5);
  CHECK(data.samples[2] == std::array<int64_t, 2>{0, 4});
  CHECK(data.samples[3] == std::array<int64_t, 2>{5, 4});
  std::vector<int32_t> classes;
  for (const auto& sample : data.samples) {
    classes.push_back(data.labels[sample[0]]);
    CHECK(data.labels[sample[1]] == classes.back());
  }
  CHECK(classes == std::vector<int32_t>{0, 1, 0, 0, 2});
  CHECK(data.pairs[2].left == "a0");  // one name for one picture
  CHECK(data.images_of(0) == std::vector<int64_t>{0, 2, 5, 6});
  CHECK(data.images_of(1) == std::vector<int64_t>{1, 3, 4, 7});
  CHECK(data.images.content_hash(data.samples[2][0]) ==
        data.images.content_hash(data.samples[0][0]));
}

TEST_CASE("a batch holds the left images, then their partners in the same order") {
  const DataFolder folder;
  write_pairs_folder(folder, 7);
  const PairData data = load(folder);
  Loader loader(data, pair_sampler(data.samples, 0), 3, {}, 0);
  CHECK(loader.steps_per_epoch() == 2);
  std::set<int64_t> seen;
  for (int step = 0; step < 2; step++) {
    const Batch batch = loader.next();
    CHECK(batch.step == step);
    CHECK(batch.images.shape() == Shape{6, 8, 8, 3});
    for (int i = 0; i < 3; i++) {
      const int64_t sample = batch.samples[i].id;
      CHECK(seen.insert(sample).second);
      const std::vector<std::string> files{folder.path("left/" + data.pairs[sample].left + ".png"),
                                           folder.path("right/" + data.pairs[sample].right)};
      const ImageStore store(files, kEightByEight);
      const Tensor images = store.batch(store.all());
      CHECK(same(batch.images.rows(i, i + 1), images.rows(0, 1)));
      CHECK(same(batch.images.rows(i + 3, i + 4), images.rows(1, 2)));
    }
  }
  CHECK(loader.next().epoch == 1);
}

TEST_CASE("batches follow from seed, epoch and step: going on from any position gives the same ones") {
  const DataFolder folder;
  write_pairs_folder(folder, 10);
  const PairData data = load(folder);
  const Augmentation augmentation{.flip = 0.5f, .shift = 0.1f, .color = 0.1f};
  std::vector<Batch> batches;
  {
    Loader loader(data, pair_sampler(data.samples, 5), 4, augmentation, 5);
    for (int i = 0; i < 8; i++) batches.push_back(loader.next());
  }
  CHECK(batches[0].samples != batches[2].samples);  // another order each epoch
  CHECK(!same(batches[0].images, batches[2].images));
  for (int start = 0; start < 8; start++) {
    Loader loader(data, pair_sampler(data.samples, 5), 4, augmentation, 5, start / 2, start % 2);
    for (int i = start; i < std::min(start + 3, 8); i++) {
      const Batch batch = loader.next();
      CHECK(batch.epoch == i / 2);
      CHECK(batch.samples == batches[i].samples);
      CHECK(same(batch.images, batches[i].images));
    }
  }
  CHECK(Loader(data, pair_sampler(data.samples, 6), 4, augmentation, 6).next().samples != batches[0].samples);
}

TEST_CASE("a set smaller than a batch is one batch; nothing at all is an error") {
  const DataFolder folder;
  write_pairs_folder(folder, 3);
  const PairData data = load(folder);
  Loader loader(data, pair_sampler(data.samples, 0), 100, {}, 0);
  CHECK(loader.steps_per_epoch() == 1);
  CHECK(loader.next().images.shape()[0] == 6);
  CHECK(loader.next().epoch == 1);
  CHECK_THROWS_AS(Loader(data, pair_sampler(data.samples, 0), 0, {}, 0), Error);
  CHECK_THROWS_AS(Loader(data, pair_sampler(data.samples, 0), 1, {}, 0, 0, 3), Error);
}

TEST_CASE("a loader that is thrown away unread ends its thread") {
  const DataFolder folder;
  write_pairs_folder(folder, 4);
  const PairData data = load(folder);
  for (int i = 0; i < 20; i++) Loader(data, pair_sampler(data.samples, i), 2, {}, i);
}

TEST_CASE("images are stretched to the size of the network") {
  const DataFolder folder;
  const std::vector<std::string> files{folder.write("x.png", encode_png(test_image(3, 5, 3)))};
  const ImageStore store(files, {.height = 4, .width = 6, .channels = 1, .mean = {0}, .std = {1}});
  CHECK(store.batch(store.all()).shape() == Shape{1, 4, 6, 1});
}

TEST_CASE("missing folders, unknown names and damaged images stop loading with their names") {
  const DataFolder folder;
  folder.write("pairs.csv", "left,right\na0,b0\n");
  CHECK(error_of([&] { load(folder); }) == folder.path("left") + ": no such folder, expected one with images");
  write_pairs_folder(folder, 3);
  std::filesystem::remove(folder.path("right/b1.png"));
  CHECK(error_of([&] { load(folder); })
            .starts_with(fmt::format("{}:3: no image 'b1.png' in {}", folder.path("pairs.csv"), folder.path("right"))));
  folder.write("right/b1.png", "hello");
  CHECK(error_of([&] {
          load(folder);
        }).starts_with(folder.path("right/b1.png") + ": not an image, expected a JPEG, PNG, WebP, GIF or BMP file"));
}

TEST_CASE("told to skip, loading leaves out pairs with a damaged image and says which") {
  const DataFolder folder;
  write_pairs_folder(folder, 3);
  folder.write("right/b1.png", "");
  const PairData data = load(folder, OnCorrupt::skip);
  REQUIRE(data.pairs.size() == 2);
  CHECK(data.pairs[1].left == "a2");
  CHECK(data.images.batch(data.samples[1]).shape() == Shape{2, 8, 8, 3});
  REQUIRE(data.skipped.size() == 1);
  CHECK(data.skipped[0].starts_with(folder.path("right/b1.png")));
  folder.write("left/a0.png", "");
  folder.write("left/a2.png", "");
  CHECK(error_of([&] { load(folder, OnCorrupt::skip); }).find("no pair is left") != std::string::npos);
}

TEST_CASE("told to skip, a missing image counts as one that can't be read") {
  const DataFolder folder;
  write_pairs_folder(folder, 3);
  std::filesystem::remove(folder.path("right/b1.png"));
  CHECK(error_of([&] { load(folder); }).find("no image 'b1.png'") != std::string::npos);
  const PairData data = load(folder, OnCorrupt::skip);
  CHECK(data.pairs.size() == 2);
  CHECK(data.labels == std::vector<int32_t>{0, 0, 1, 1});
  CHECK(data.skipped.size() == 1);
}

}  // namespace lookalike
