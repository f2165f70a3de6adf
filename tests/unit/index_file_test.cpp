// Index files: what is added and removed leaves the file that would have been built at once, and a
// damaged or foreign one is one line of Error.
#include "engine/search/index_file.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "models/model.h"
#include "tests/op_case.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

constexpr int64_t kWidth = 5;

Checkpoint indexed_model() {
  const Preprocess preprocess{.height = 8, .width = 8};
  const Model model = build_model(
      {{"name", "convnet_bn"}, {"channels", {4, 3}}, {"pool_after", {1}}, {"embedding", kWidth}},
      preprocess, 1, "test");
  return checkpoint_of(model);
}

// Pictures [begin, end) of an endless row of them.
IndexedImages indexed_pictures(int64_t begin, int64_t end) {
  IndexedImages images;
  const Tensor all = testing::random_tensor({100, kWidth}, DType::f32);
  for (int64_t i = begin; i < end; i++) {
    images.names.push_back("folder/" + std::string(i % 3 + 1, 'x') + std::to_string(i) + ".png");
    images.hashes.push_back(0x8000000000000000u + i);
  }
  images.embeddings = all.rows(begin, end).clone();
  return images;
}

void build_index(const std::filesystem::path& path, const IndexedImages& images,
                 DType storage = DType::f32) {
  IndexWriter(path).build(indexed_model(), images, storage, Similarity::cosine);
}

std::string refusal_of_index(const std::filesystem::path& path) {
  const std::string text = error_of([&] {
    const IndexFile index(path);
    model_of(index.model(), path);
    index.embeddings();
  });
  CHECK(text.find(path.string()) != std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
  return text;
}

// The bytes of an index after `change` to what is in it.
template <class Change>
void write_changed_index(const std::filesystem::path& from, const std::filesystem::path& to,
                         const Change& change) {
  TensorFile file = read_safetensors(from);
  change(file);
  write_safetensors(to, file);
}

TEST_CASE("an index comes back, and its model is one") {
  TemporaryFolder folder;
  for (const DType storage : {DType::f32, DType::f16}) {
    const IndexedImages images = indexed_pictures(0, 20);
    build_index(folder / "a", images, storage);
    const IndexFile index(folder / "a");
    CHECK(index.names() == images.names);
    CHECK(index.hashes() == images.hashes);
    CHECK(index.storage() == storage);
    CHECK(index.width() == kWidth);
    CHECK(index.recall().has_value() == (storage == DType::f16));
    const Tensor rows = as_f32(index.embeddings());
    for (int64_t i = 0; i < rows.size(); i++) {
      const float value = images.embeddings.data<float>()[i];
      CHECK(rows.data<float>()[i] == (storage == DType::f32 ? value : to_float(to_f16(value))));
    }
    const Model model = model_of(index.model(), index.path());
    CHECK(model.config["name"] == "convnet_bn");
    CHECK(is_index(folder / "a"));
    CHECK(read_safetensors(folder / "a").tensors.contains("index/embeddings"));
  }
}

TEST_CASE("adding and removing make the file that building at once makes") {
  TemporaryFolder folder;
  const auto bytes = [&](const char* name) { return read_bytes(folder / name); };
  for (const DType storage : {DType::f32, DType::f16}) {
    build_index(folder / "first", indexed_pictures(0, 7), storage);
    build_index(folder / "grown", indexed_pictures(0, 7), storage);
    IndexWriter(folder / "grown").add(IndexFile(folder / "grown"), indexed_pictures(7, 31));
    build_index(folder / "whole", indexed_pictures(0, 31), storage);
    // The measured loss of f16 stays that of the pictures it was measured on.
    if (storage == DType::f32) CHECK(bytes("grown") == bytes("whole"));
    std::vector<std::string> gone = indexed_pictures(7, 31).names;
    std::ranges::reverse(gone);
    CHECK(IndexWriter(folder / "grown").remove(IndexFile(folder / "grown"), gone) == 7);
    CHECK(bytes("grown") == bytes("first"));
    const std::vector<std::string> some{indexed_pictures(0, 1).names[0],
                                        indexed_pictures(3, 4).names[0]};
    IndexWriter(folder / "grown").remove(IndexFile(folder / "grown"), some);
    const IndexFile index(folder / "grown");
    CHECK(index.names().front() == indexed_pictures(1, 2).names[0]);
    CHECK(index.names().back() == indexed_pictures(6, 7).names[0]);
    const Tensor rows = as_f32(index.embeddings()),
                 all = as_f32(IndexFile(folder / "first").embeddings());
    CHECK(std::equal(rows.raw(), rows.raw() + 2 * kWidth * 4, all.rows(1, 3).raw()));
    CHECK(std::equal(rows.rows(2, 5).raw(), rows.rows(2, 5).raw() + 3 * kWidth * 4,
                     all.rows(4, 7).raw()));
  }
}

TEST_CASE("what can't be changed leaves the index as it was") {
  TemporaryFolder folder;
  build_index(folder / "a", indexed_pictures(0, 9));
  const std::string before = read_bytes(folder / "a");
  const IndexFile index(folder / "a");
  const auto said = [&](const auto& body) { return error_of(body); };
  CHECK(said([&] {
          IndexWriter(folder / "a").add(index, indexed_pictures(8, 12));
        }).find(" has " + indexed_pictures(8, 9).names[0] + " already;") != std::string::npos);
  CHECK(said([&] {
          IndexWriter(folder / "a").remove(index, std::vector<std::string>{"none.png"});
        }).find("there is no picture named none.png") != std::string::npos);
  CHECK(said([&] {
          IndexWriter(folder / "a").remove(index, index.names());
        }).find("nothing would be left") != std::string::npos);
  {
    const IndexWriter held(folder / "a");
    CHECK(said([&] { IndexWriter(folder / "a").add(index, indexed_pictures(9, 12)); }) != "");
  }
  IndexedImages wide = indexed_pictures(9, 10);
  wide.embeddings = testing::random_tensor({1, kWidth + 1}, DType::f32);
  CHECK(said([&] { IndexWriter(folder / "a").add(index, wide); }).find("5 values") !=
        std::string::npos);
  // What half precision has no number for is refused, and not written.
  IndexedImages large = indexed_pictures(0, 3);
  large.embeddings.data<float>()[6] = 70'000;
  CHECK(said([&] { build_index(folder / "b", large, DType::f16); }).find("up to 65504") !=
        std::string::npos);
  CHECK(read_bytes(folder / "a") == before);
  CHECK(folder.count() == 1);
}

TEST_CASE("an index that is cut, foreign or wrong is refused") {
  TemporaryFolder folder;
  build_index(folder / "whole", indexed_pictures(0, 9), DType::f16);
  const std::string whole = read_bytes(folder / "whole");
  const SafetensorsHeader header = read_safetensors_header(folder / "whole");
  std::vector<int64_t> lengths{0, 4, 8, 9, header.data_begin / 2, header.data_begin - 1};
  for (const auto& [name, entry] : header.tensors)
    if (name.starts_with("index/"))
      for (const int64_t at : {entry.begin, (entry.begin + entry.end) / 2, entry.end - 1})
        lengths.push_back(header.data_begin + at);
  for (const int64_t length : lengths) {
    CAPTURE(length);
    write_bytes(folder / "cut", whole.substr(0, length));
    CHECK(refusal_of_index(folder / "cut") != "");
  }
  write_bytes(folder / "text", "a picture\n");
  CHECK(refusal_of_index(folder / "text").find("not an index") != std::string::npos);
  write_checkpoint(folder / "model", indexed_model());
  CHECK(refusal_of_index(folder / "model").find("expected an index") != std::string::npos);
  CHECK_FALSE(is_index(folder / "model"));
  CHECK_FALSE(is_index(folder / "text"));
  CHECK_FALSE(is_index(folder / "none"));

  const auto with = [&](const char* expected, const auto& change) {
    CAPTURE(expected);
    write_changed_index(folder / "whole", folder / "changed", change);
    CHECK(refusal_of_index(folder / "changed").find(expected) != std::string::npos);
  };
  with("lookalike-index-2; this program reads lookalike-index-1",
       [](TensorFile& file) { file.metadata["format"] = "lookalike-index-2"; });
  for (const char* name : {"index/embeddings", "index/hashes", "index/names", "index/name_ends"})
    with(name, [&](TensorFile& file) { file.tensors.erase(name); });
  with("tensor index/hashes is",
       [](TensorFile& file) { file.tensors["index/hashes"] = Tensor::zeros({8}, DType::i64); });
  with("tensor index/embeddings is", [](TensorFile& file) {
    file.tensors["index/embeddings"] = Tensor::zeros({10, kWidth});
  });
  with("tensor index/embeddings is", [](TensorFile& file) {
    file.tensors["index/embeddings"] = Tensor::zeros({9, 0});
  });
  const auto with_ends = [&](const char* expected, int64_t place, int64_t value) {
    with(expected,
         [&](TensorFile& file) { file.tensors["index/name_ends"].data<int64_t>()[place] = value; });
  };
  with_ends("the name of picture 3", 3, -1);
  with_ends("the name of picture 3", 3, int64_t{1} << 40);
  with_ends("behind the last name", 8, 125);
  with("named twice", [](TensorFile& file) {
    auto* names = file.tensors["index/names"].data<uint8_t>();
    const auto* ends = file.tensors["index/name_ends"].data<int64_t>();
    std::copy(names, names + ends[0], names + ends[2]);  // 0 and 3 have the same length
  });
  with("holds NaN or infinity", [](TensorFile& file) {
    file.tensors["index/embeddings"] = file.tensors["index/embeddings"].clone();
    file.tensors["index/embeddings"].data<float>()[7] = NAN;
  });
  with("f16_recall", [](TensorFile& file) { file.metadata["f16_recall"] = "[10, 9, 1.5]"; });
  with("'calibration'", [](TensorFile& file) { file.metadata["calibration"] = "{}"; });
  with("do not fit the network",
       [](TensorFile& file) { file.tensors.erase(file.tensors.upper_bound("index/zzz")); });
}

}  // namespace
}  // namespace lookalike
