#include "engine/data/seen_images.h"

#include <algorithm>
#include <limits>

#include <doctest/doctest.h>

#include "engine/eval/ranked_images.h"
#include "engine/io/safetensors.h"
#include "engine/train/checkpoint.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

const Preprocess kSmall{.height = 8, .width = 8};

}  // namespace

TEST_CASE("the hash of a picture sees its size and colours, not its file") {
  const Image grey = test_image(5, 7, 1), colour = with_channels(grey, 3);
  CHECK(content_hash(grey) == content_hash(colour));
  Image other = colour;
  other.pixels.back() ^= 1;
  CHECK(content_hash(other) != content_hash(colour));
  Image turned = colour;
  std::swap(turned.height, turned.width);
  CHECK(content_hash(turned) != content_hash(colour));

  // What stands behind the picture changes nothing, nor do the size and colours that a network wants.
  const DataFolder folder;
  const std::string png = encode_png(colour);
  const std::string files[] = {folder.write("a.png", png), folder.write("b.png", png + "behind the end")};
  const ImageStore store(files, kSmall),
      small(files, {.height = 3, .width = 2, .channels = 1, .mean = {0}, .std = {1}});
  CHECK(store.content_hash(0) == content_hash(colour));
  CHECK(store.content_hash(1) == store.content_hash(0));
  CHECK(small.content_hash(0) == store.content_hash(0));
  CHECK(hashes_of(store).size() == 1);
}

TEST_CASE("what a model has seen travels in its checkpoint; files from before are said to remember nothing") {
  const DataFolder folder;
  Checkpoint checkpoint{.model = {{"name", "x"}}, .recipe = {{"train", 1}}};
  checkpoint.tensors["w"] = Tensor::zeros({2});
  checkpoint.seen = {{1, 5, ~uint64_t{0}}, {7}};
  write_checkpoint(folder.path("a"), checkpoint);
  Checkpoint back = read_checkpoint(folder.path("a"));
  CHECK(back.seen.training == checkpoint.seen.training);
  CHECK(back.seen.trained_on(~uint64_t{0}));
  CHECK(!back.seen.trained_on(7));
  CHECK(back.seen.validated_on(7));
  CHECK(back.seen.complete);
  CHECK(back.tensors.size() == 1);

  back.seen.add({{2, 5}, {}, false});
  CHECK(back.seen.training == std::vector<uint64_t>{1, 2, 5, ~uint64_t{0}});
  write_checkpoint(folder.path("b"), back);
  CHECK(!read_checkpoint(folder.path("b")).seen.complete);

  TensorFile file = read_safetensors(folder.path("a"));
  file.metadata.erase("seen");
  write_safetensors(folder.path("old"), file);
  CHECK(!read_checkpoint(folder.path("old")).seen.complete);
  file.metadata.erase("recipe");  // published weights
  write_safetensors(folder.path("imported"), file);
  CHECK(read_checkpoint(folder.path("imported")).seen.complete);
  file.tensors["seen/training"] = Tensor::zeros({2});
  write_safetensors(folder.path("bad"), file);
  CHECK(error_of([&] {
          read_checkpoint(folder.path("bad"));
        }).ends_with("seen/training is f32 [2], expected i64 [images]"));
}

TEST_CASE(
    "pictures are compared in blocks as they are all at once, and a gallery is what can be read") {
  const DataFolder folder;
  write_pairs_folder(folder, 7);
  const RankedImages ranked =
      open_pairs_to_rank(folder.path(), folder.path("pairs.csv"), kSmall, 5, 3, 0, OnCorrupt::stop);
  const auto pixels = [&](const std::vector<int64_t>& images) {
    const Tensor batch = ranked.images.batch(images);
    return batch.reshape({batch.shape()[0], batch.shape().row_size()});
  };
  const Tensor mean = mean_row(pixels(ranked.left));
  const auto whole =
      baseline_scores(ranked.protocol, pixels(ranked.left), pixels(ranked.right), mean);
  for (const int64_t images : {1, 2, 3, 5, 8, 100}) {
    CAPTURE(images);
    const auto blocks =
        pixel_scores(ranked, mean, images * 4 * ranked.images.preprocess().image_size());
    REQUIRE(blocks.size() == 2);
    for (size_t i = 0; i < 2; i++) {
      CHECK(blocks[i].first == whole[i].first);
      CHECK(std::ranges::equal(blocks[i].second.span<float>(), whole[i].second.span<float>()));
    }
  }

  std::vector<bool> keep(7, true);
  keep[2] = false;
  write_candidates(folder.path("c.csv"),
                   make_candidates(read_pairs(folder.path("pairs.csv")), 7, 0));
  folder.write("right/b4.png", "no picture");
  const RankedImages damaged = open_candidates_to_rank(
      folder.path(), folder.path("c.csv"), folder.path("pairs.csv"), kSmall, OnCorrupt::skip);
  const Gallery gallery = gallery_of(damaged, keep);
  CHECK(gallery.rows.size() == 6);
  REQUIRE(gallery.truth.queries() == 6);
  for (int64_t query = 0; query < 6; query++) {
    const std::string& left = damaged.protocol.left[query < 2 ? query : query + 1];
    if (left == "a4") {
      CHECK(gallery.truth.begins[query] == gallery.truth.begins[query + 1]);
      continue;
    }
    const int64_t row = gallery.rows[gallery.truth.partners[gallery.truth.begins[query]]];
    CHECK(damaged.protocol.right[row][1] == left[1]);
  }
}

TEST_CASE("a query is seen when its own image or its partner's is") {
  const DataFolder folder;
  write_pairs_folder(folder, 5);
  const auto open = [&](OnCorrupt on_corrupt) {
    return open_pairs_to_rank(folder.path(), folder.path("pairs.csv"), kSmall, 20, 2, 0, on_corrupt);
  };
  RankedImages ranked = open(OnCorrupt::stop);
  CHECK(ranked.protocol.lists.count == 5);  // of 20
  CHECK(shorter_lists(ranked.protocol, 20).starts_with("5 pairs: "));
  CHECK(shorter_lists(ranked.protocol, 5).empty());
  const auto hash = [&](const std::vector<int64_t>& side, int64_t query) {
    return ranked.images.content_hash(side[query]);
  };
  SeenImages seen;
  seen.training = {hash(ranked.left, 1), hash(ranked.right, 3)};
  seen.validation = {hash(ranked.left, 0), hash(ranked.left, 1)};
  for (auto* of : {&seen.training, &seen.validation}) std::ranges::sort(*of);
  const QueryStates states = states_of_queries(ranked, seen);
  using enum QuerySeen;
  CHECK(states.seen == std::vector{in_validation, in_training, no, in_training, no});
  CHECK(states.count(in_training) == 2);

  Tensor scores({10, 5});
  for (int64_t i = 0; i < 50; i++) scores.data<float>()[i] = static_cast<float>(i);
  const ScoredProtocol part = select_queries(ranked.protocol, scores, {false, true, false, false, true});
  CHECK(part.protocol.left == std::vector<std::string>{ranked.protocol.left[1], ranked.protocol.left[4]});
  CHECK(part.protocol.lists.lists() == 4);
  CHECK(part.scores.shape() == Shape{4, 5});
  const Report report = evaluate_scores("", part.protocol, part.scores);
  CHECK(report.queries == 2);

  folder.write("right/b2.png", "");
  CHECK(error_of([&] { open(OnCorrupt::stop); }).find("--skip-corrupt") != std::string::npos);
  ranked = open(OnCorrupt::skip);
  CHECK(ranked.protocol.left.size() == 4);
  CHECK(ranked.skipped.size() == 1);

  // In lists from a file, an image that can't be read stays in its place and ranks last.
  folder.write("c.csv", "left,c0,c1\na0,b0,b2\na2,b2,b1\n");
  folder.write("t.csv", "left,right\na0,b0\na2,b2\n");
  ranked = open_candidates_to_rank(folder.path(), folder.path("c.csv"), folder.path("t.csv"), kSmall, OnCorrupt::skip);
  Tensor two({2, 2});
  two.fill(1);
  mark_unread(ranked, two);
  const float low = -std::numeric_limits<float>::infinity();
  CHECK(std::ranges::equal(two.span<float>(), std::vector{1.0f, low, low, 1.0f}));
  CHECK(states_of_queries(ranked, {}).measured == std::vector{true, false});
}

}  // namespace lookalike
