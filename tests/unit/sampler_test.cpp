#include "engine/data/sampler.h"

#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

// Class 0 has 5 images, 1 has 4, 2 has one, 3 has two.
const std::vector<int32_t> kLabels{0, 1, 0, 1, 2, 0, 3, 1, 0, 3, 1, 0};

TEST_CASE("every sampler repeats an epoch, and makes another of each") {
  const std::vector<std::array<int64_t, 2>> pairs{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}};
  for (const Sampler& sampler : {pair_sampler(pairs, 3), view_sampler({1, 2, 3, 5, 8}, 3), class_sampler(kLabels, 3),
                                 same_different_sampler(kLabels, 3)}) {
    const auto first = sampler.epoch(0);
    CHECK(std::ssize(first) == sampler.size);
    CHECK(first == sampler.epoch(0));
    CHECK(first != sampler.epoch(1));
  }
}

TEST_CASE("pairs come each once, views are one image twice") {
  const std::vector<std::array<int64_t, 2>> pairs{{0, 1}, {2, 3}, {4, 5}};
  std::set<int64_t> seen;
  for (const Sample& sample : pair_sampler(pairs, 0).epoch(4)) {
    CHECK(sample.images == pairs[sample.id]);
    CHECK(seen.insert(sample.id).second);
  }
  for (const Sample& sample : view_sampler({7, 9}, 0).epoch(0)) CHECK(sample.images[0] == sample.images[1]);
}

TEST_CASE("pairs of one class keep their distance, and the order stays where no class has two") {
  std::vector<std::array<int64_t, 2>> pairs;
  std::vector<int32_t> apart, labels;
  for (int32_t i = 0; i < 60; i++) {
    pairs.push_back({2 * i, 2 * i + 1});
    apart.insert(apart.end(), {i, i});
    labels.insert(labels.end(), 2, i < 6 ? 0 : i);  // six pairs of one class
  }
  CHECK(pair_sampler(pairs, 3, apart).epoch(1) == pair_sampler(pairs, 3).epoch(1));
  for (int64_t epoch = 0; epoch < 20; epoch++) {
    const auto samples = pair_sampler(pairs, 3, labels).epoch(epoch);
    std::set<int64_t> ids;
    std::vector<int64_t> places;
    for (size_t i = 0; i < samples.size(); i++) {
      ids.insert(samples[i].id);
      if (samples[i].id < 6) places.push_back(static_cast<int64_t>(i));
    }
    CHECK(ids.size() == 60);
    for (size_t i = 1; i < places.size(); i++)
      CHECK(places[i] - places[i - 1] >= 8);  // 10 on average
  }
}

TEST_CASE("class samples are two images of one class, no image twice, no class twice in a round") {
  const auto samples = class_sampler(kLabels, 1).epoch(0);
  CHECK(samples.size() == 5);  // 2 of class 0, 2 of class 1, 1 of class 3
  std::set<int64_t> images, ids;
  std::set<int32_t> round;
  for (size_t i = 0; i < samples.size(); i++) {
    const auto [a, b] = samples[i].images;
    CHECK(kLabels[a] == kLabels[b]);
    CHECK(images.insert(a).second);
    CHECK(images.insert(b).second);
    CHECK(ids.insert(samples[i].id).second);
    if (i < 3) CHECK(round.insert(kLabels[a]).second);
  }
  CHECK_THROWS_AS(class_sampler(std::vector<int32_t>{0, 1, 2}, 0), Error);
}

TEST_CASE("same and different pairs are about as many, each image is first once") {
  std::vector<int32_t> labels;
  for (int32_t i = 0; i < 2000; i++) labels.push_back(i % 10);
  int64_t same = 0;
  std::set<int64_t> first;
  for (const Sample& sample : same_different_sampler(labels, 0).epoch(0)) {
    const auto [a, b] = sample.images;
    CHECK(a != b);
    first.insert(a);
    same += labels[a] == labels[b];
  }
  CHECK(first.size() == 2000);
  CHECK(same > 900);
  CHECK(same < 1100);
  CHECK_THROWS_AS(same_different_sampler(std::vector<int32_t>{1, 1}, 0), Error);
}

TEST_CASE("a mined batch holds the hardest negative of each of its anchors, and no pair twice") {
  std::vector<std::array<int64_t, 2>> pairs;
  std::vector<int64_t> hardest;
  for (int64_t i = 0; i < 12; i++) pairs.push_back({2 * i, 2 * i + 1}), hardest.push_back((i + 5) % 12);
  const auto samples = mined_epoch(pairs, hardest, 4, 0, 2);
  CHECK(samples.size() == 12);
  CHECK(samples == mined_epoch(pairs, hardest, 4, 0, 2));
  for (const Sample& sample : mined_epoch(pairs, hardest, 5, 0, 0)) CHECK(sample.images == pairs[sample.id]);
  for (size_t batch = 0; batch < 12; batch += 4) {
    std::set<int64_t> ids;
    int companions = 0;
    for (size_t i = batch; i < batch + 4; i++) CHECK(ids.insert(samples[i].id).second);
    for (const int64_t id : ids) companions += ids.count(hardest[id]);
    CHECK(companions >= 2);
  }
}

// How many batches of `size` are of one class.
int64_t batches_of_one_class(const std::vector<Sample>& samples, const std::vector<int32_t>& labels, int64_t size) {
  int64_t count = 0;
  for (int64_t begin = 0; begin < std::ssize(samples); begin += size) {
    const auto batch = std::span(samples).subspan(begin, std::min<int64_t>(size, std::ssize(samples) - begin));
    std::set<int32_t> classes;
    for (const Sample& sample : batch) classes.insert(labels[sample.images[0]]);
    count += batch.size() > 1 && classes.size() == 1;
  }
  return count;
}

TEST_CASE("batches are mixed as far as the classes allow, and left as they are where they are mixed already") {
  const auto labels_of = [](std::initializer_list<int> sizes) {
    std::vector<int32_t> labels;
    for (const int size : sizes) labels.insert(labels.end(), size, static_cast<int32_t>(labels.size()));
    return labels;
  };
  const auto epoch_of = [](const std::vector<int32_t>& labels, int64_t epoch) {
    return class_sampler(labels, 5).epoch(epoch);
  };
  const auto unequal = labels_of({400, 8, 8, 8});
  for (int64_t epoch = 0; epoch < 3; epoch++) {
    const auto before = epoch_of(unequal, epoch), after = mix_batches(before, unequal, 32);
    CHECK(batches_of_one_class(before, unequal, 32) == 6);
    CHECK(batches_of_one_class(after, unequal, 32) == 0);
    CHECK(after == mix_batches(before, unequal, 32));
    // There are enough others: each sample comes once.
    std::set<int64_t> images, ids;
    for (const Sample& sample : after) images.insert(sample.images[0]), ids.insert(sample.id);
    CHECK(images.size() == before.size());
    CHECK(ids.size() == before.size());
  }
  // Fewer others than batches, the largest class the last one, and two classes in turn.
  for (const auto& labels : {labels_of({2, 400}), labels_of({400, 4}), labels_of({4, 6, 300}), labels_of({40, 44})})
    for (const int64_t size : {2, 3, 8, 33}) {
      const auto before = epoch_of(labels, 1), after = mix_batches(before, labels, size);
      CHECK(after.size() == before.size());
      CHECK(batches_of_one_class(after, labels, size) == 0);
      std::set<int64_t> ids;
      for (const Sample& sample : after) ids.insert(sample.id);
      CHECK(ids.size() == after.size());
    }
  for (const auto& labels : {labels_of({20, 20, 20}), labels_of({20, 22, 18, 20})}) {
    const auto before = epoch_of(labels, 0);
    CHECK(mix_batches(before, labels, 8) == before);
  }
  const auto alone = labels_of({30});
  const auto before = epoch_of(alone, 0);
  CHECK(mix_batches(before, alone, 8) == before);
}

}  // namespace
}  // namespace lookalike
