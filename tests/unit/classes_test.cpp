#include "engine/data/classes.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/data/check.h"
#include "engine/data/cifar.h"
#include "engine/data/class_split.h"
#include "engine/data/idx.h"
#include "tests/unit/class_files.h"

namespace lookalike {
namespace {

const Preprocess kGrey{.height = 4, .width = 4, .channels = 1, .mean = {0}, .std = {1}};

std::string picture(int seed) {
  return encode_png(test_image(4, 4, 1, seed));
}

// Two alphabets of two and one characters, two drawings each.
void write_alphabets(const DataFolder& folder, const std::string& below = "") {
  int seed = 0;
  for (const char* character : {"latin/b", "latin/a", "greek/a"})
    for (const char* drawing : {"02.png", "01.png"}) folder.write(below + character + "/" + drawing, picture(seed++));
}

std::vector<uint8_t> pixels_of(const ClassData& data, int64_t image) {
  const uint8_t* from = data.images.pixels(image);
  return {from, from + data.images.preprocess().image_size()};
}

using Names = std::vector<std::string>;

TEST_CASE("class folders: the last folder is the class, the path above it the group") {
  const DataFolder folder;
  write_alphabets(folder);
  folder.write("latin/a/notes.txt", "x");
  folder.write("latin/a/.01.png", "x");
  folder.write(".cache/a/01.png", "x");
  folder.write("Zulu/A.JPEG", jpeg_file({200}));
  CHECK(layout_of(folder.path()) == Layout::folders);
  const ClassData data = load_classes(folder.path(), "test", kGrey);
  CHECK(data.classes == Names{"Zulu", "greek/a", "latin/a", "latin/b"});
  CHECK(data.names == Names{"Zulu/A.JPEG", "greek/a/01.png", "greek/a/02.png", "latin/a/01.png", "latin/a/02.png",
                            "latin/b/01.png", "latin/b/02.png"});
  CHECK(data.labels == std::vector<int32_t>{0, 1, 1, 2, 2, 3, 3});
  CHECK(data.skipped.empty());
  CHECK(data.images.size() == 7);
  CHECK(pixels_of(data, 5) == test_image(4, 4, 1, 1).pixels);
  CHECK(groups_of(data) == Names{"", "greek", "latin"});
  CHECK(group_of("a/b/c") == "a/b");

  const ClassData latin = only_groups(data, Names{"latin"});
  CHECK(latin.classes == Names{"latin/a", "latin/b"});
  CHECK(latin.labels == std::vector<int32_t>{0, 0, 1, 1});
  CHECK(latin.names.front() == "latin/a/01.png");
  CHECK(pixels_of(latin, 2) == pixels_of(data, 5));
  CHECK(without_groups(data, Names{"latin", ""}).classes == Names{"greek/a"});
  CHECK(error_of([&] { only_groups(data, Names{"latn"}); }) == "no group 'latn' in the data, the nearest is 'latin'");
  CHECK(error_of([&] { without_groups(data, groups_of(data)); }) ==
        "no class is left without the groups , greek, latin");
}

TEST_CASE("class folders: train, val and test are parts") {
  const DataFolder folder;
  write_alphabets(folder, "train/");
  CHECK(error_of([&] { load_classes(folder.path(), "test", kGrey); }) ==
        folder.path() + ": has no test part, only train");
  CHECK(!has_part(folder.path(), "val"));
  folder.write("test/x/1.png", picture(1));
  CHECK(load_classes(folder.path(), "train", kGrey).classes == Names{"greek/a", "latin/a", "latin/b"});
  CHECK(load_classes(folder.path(), "train", kGrey).names.front() == "train/greek/a/01.png");
  CHECK(error_of([&] { load_classes(folder.path(), "test", kGrey); }) ==
        folder.path() + ": 1 class in the test part, expected at least two");
  folder.write("valid/x/1.png", picture(1));
  folder.write("valid/y/1.png", picture(2));
  CHECK(has_part(folder.path(), "val"));
  CHECK(load_classes(folder.path(), "val", kGrey).names == Names{"valid/x/1.png", "valid/y/1.png"});

  // What is neither parts alone nor classes alone.
  folder.write("val/x/1.png", picture(1));
  CHECK(error_of([&] { parts_of(folder.path()); }).ends_with("are both its val part, expected one"));
  std::filesystem::remove_all(folder.path("val"));
  folder.write("extra/1.png", picture(1));
  CHECK(error_of([&] { load_classes(folder.path(), "train", kGrey); }).find("cannot tell parts from classes") !=
        std::string::npos);
  std::filesystem::remove_all(folder.path("extra"));
  std::filesystem::rename(folder.path("test"), folder.path("Testing"));
  CHECK(error_of([&] { load_classes(folder.path(), "train", kGrey); }) ==
        folder.path("Testing") + ": not the name of a part, expected train/, val/ or test/");

  // A class of trains is none, nor is a folder without images.
  const DataFolder vehicles;
  for (const char* name : {"car/1.png", "plane/1.png", "train/1.png"}) vehicles.write(name, picture(0));
  vehicles.write("test/notes.txt", "x");
  const DataFolder odd;
  for (const char* name : {"train/a/1.png", "train/b/1.png", "c/1.png"}) odd.write(name, picture(0));
  CHECK(error_of([&] { load_classes(odd.path(), "train", kGrey); }).find("cannot tell parts from classes") !=
        std::string::npos);
  CHECK(load_classes(vehicles.path(), "train", kGrey).classes == Names{"car", "plane", "train"});
}

TEST_CASE("class folders: parts in files, and what they name") {
  const DataFolder folder;
  write_alphabets(folder);
  folder.write("train.csv", "image\nlatin/a/01.png\nlatin/b/02.png\nlatin/b/01.png\n");
  folder.write("test.csv", "image\nlatin/a/02.png\ngreek/a/01.png\n");
  const ClassData train = load_classes(folder.path(), "train", kGrey);
  CHECK(train.names == Names{"latin/a/01.png", "latin/b/02.png", "latin/b/01.png"});
  CHECK(train.classes == Names{"latin/a", "latin/b"});
  CHECK(load_classes(folder.path(), "test", kGrey).classes == Names{"greek/a", "latin/a"});
  CHECK(error_of([&] { load_classes(folder.path(), "val", kGrey); }) ==
        folder.path() + ": has no val part, only test, train");
  CHECK(load_named_classes(folder.path(), folder.path("test.csv"), kGrey).images.size() == 2);
  CHECK(list_all_classes(folder.path()).names.size() == 6);

  folder.write("test.csv", "image\nlatin/a/02.png\nlatin/c/01.png\nlatin/b/01.png\n");
  CHECK(error_of([&] {
          load_classes(folder.path(), "test", kGrey);
        }).starts_with(folder.path("test.csv") + ": no image 'latin/c/01.png'"));
  const ClassData rest = load_classes(folder.path(), "test", kGrey, OnCorrupt::skip);
  CHECK(rest.images.size() == 2);
  CHECK(rest.skipped.size() == 1);
  folder.write("test.csv", "image\nlatin/a/02.png\nlatin/a/02.png\n");
  CHECK(error_of([&] {
          load_classes(folder.path(), "test", kGrey);
        }).ends_with("is already in line 2, expected each once"));
}

TEST_CASE("class data is cut by classes where there are many, else by images, every image once") {
  std::vector<int32_t> many, few;
  for (int i = 0; i < 120; i++) many.push_back(i % 20), few.push_back(i % 4);
  few.push_back(4);  // a class of one image stays in training
  for (const auto& [labels, by] : {std::pair(many, SplitBy::classes), {few, SplitBy::images}}) {
    const ClassSplit split = split_classes(labels, {70, 15, 15}, 3);
    CHECK(split.by == by);
    std::set<int64_t> images;
    std::array<std::set<int32_t>, 3> classes;
    for (int part = 0; part < 3; part++)
      for (const int64_t image : split.images[part]) images.insert(image), classes[part].insert(labels[image]);
    CHECK(images.size() == labels.size());
    CHECK(split.images == split_classes(labels, {70, 15, 15}, 3).images);
    CHECK(split.images != split_classes(labels, {70, 15, 15}, 4).images);
    if (by == SplitBy::classes)
      for (const int32_t label : classes[1]) CHECK((!classes[0].contains(label) && !classes[2].contains(label)));
    else
      CHECK(classes[0].size() == 5);
  }
  CHECK(split_classes(many, {1, 1, 0}, 0).images[2].empty());
  CHECK(split_classes(many, {70, 15, 15}, 0, SplitBy::images).images[1].size() >= 40);
  CHECK(error_of([&] {
          split_classes(std::vector<int32_t>{0, 0, 1, 1}, {70, 15, 15}, 0);
        }).find("too few to split") != std::string::npos);
}

TEST_CASE("class folders: what is wrong with them") {
  const DataFolder folder;
  write_alphabets(folder);
  CHECK(check_data(folder.path()).problems.empty());
  folder.write("latin/b/03.png", "no image");
  folder.write("greek/b/01.png", "");
  const std::string damaged =
      folder.path("latin/b/03.png") + ": not an image, expected a JPEG, PNG, WebP, GIF or BMP file";
  const std::string empty =
      folder.path("greek/b/01.png") + ": the file is empty, expected a JPEG, PNG, WebP, GIF or BMP file";
  CHECK(error_of([&] { load_classes(folder.path(), "train", kGrey); }).starts_with(empty + " (2 of 8 images"));
  const ClassData rest = load_classes(folder.path(), "train", kGrey, OnCorrupt::skip);
  CHECK(rest.skipped == Names{empty, damaged});
  CHECK(rest.classes == Names{"greek/a", "latin/a", "latin/b"});
  CHECK(rest.images.size() == 6);
  CHECK(pixels_of(rest, 4) == test_image(4, 4, 1, 1).pixels);
  CHECK(check_data(folder.path()).problems ==
        Names{empty, damaged, folder.path() + ": class 'greek/b' has one image, expected at least two to make a pair"});

  folder.write("stray.png", picture(0));
  CHECK(error_of([&] { load_classes(folder.path(), "train", kGrey); }) ==
        folder.path("stray.png") + ": an image outside of any class, expected a folder for each class");
  const DataFolder nothing;
  CHECK(error_of([&] { layout_of(nothing.path()); }).starts_with(nothing.path() + ": no data set, expected "));
  CHECK(error_of([&] { layout_of(nothing.path("x")); }) ==
        nothing.path("x") + ": no such folder, expected one with a data set");
  nothing.write("pairs.csv", "left,right\n");
  CHECK(layout_of(nothing.path()) == Layout::pairs);
  CHECK(error_of([&] { load_classes(nothing.path(), "train", kGrey); }).ends_with("expected classes of them"));
  std::filesystem::create_directory_symlink(folder.path(), folder.path("latin/above"));
  CHECK(error_of([&] { layout_of(folder.path()); }).ends_with("17 deep, expected at most 16"));
}

TEST_CASE("rotations and mirror images are classes of their own") {
  const DataFolder folder;
  write_alphabets(folder);
  const ClassData data = load_classes(folder.path(), "train", kGrey), turned = with_rotations(data);
  CHECK(turned.images.size() == 24);
  CHECK(turned.classes.size() == 12);
  CHECK(turned.classes[3] == "greek/a@90");
  CHECK(turned.names[6] == "greek/a/01.png@90");
  CHECK(turned.labels[7 + 6] == 3 + 3 + 0);
  CHECK(pixels_of(turned, 1) == pixels_of(data, 1));
  const auto upright = pixels_of(data, 5), left = pixels_of(turned, 11), half = pixels_of(turned, 17);
  for (int y = 0; y < 4; y++)
    for (int x = 0; x < 4; x++) {
      CHECK(left[(3 - x) * 4 + y] == upright[y * 4 + x]);
      CHECK(half[(3 - y) * 4 + 3 - x] == upright[y * 4 + x]);
    }
  const Preprocess wide{.height = 4, .width = 5};
  const ClassData broad = load_classes(folder.path(), "train", wide), mirrored = with_mirrors(broad);
  CHECK(mirrored.images.size() == 12);
  CHECK(mirrored.classes[3] == "greek/a@mirror");
  CHECK(mirrored.labels[6 + 5] == 3 + broad.labels[5]);
  const auto before = pixels_of(broad, 5), after = pixels_of(mirrored, 6 + 5);
  for (int y = 0; y < 4; y++)
    for (int x = 0; x < 5; x++)
      for (int c = 0; c < 3; c++) CHECK(after[(y * 5 + x) * 3 + c] == before[(y * 5 + 4 - x) * 3 + c]);
  CHECK(
      error_of([&] { with_rotations(load_classes(folder.path(), "train", wide)); }).ends_with("expected square ones"));
  // Of colours, all three bytes of a pixel move together.
  const Preprocess colour{.height = 4, .width = 4};
  const ClassData rgb = load_classes(folder.path(), "train", colour);
  const auto colours = pixels_of(with_rotations(rgb), 11);
  for (size_t i = 0; i < left.size(); i++)
    for (int c = 0; c < 3; c++) CHECK(colours[3 * i + c] == left[i]);
}

TEST_CASE("IDX files, plain and compressed") {
  const DataFolder folder;
  const std::string values = "\x01\x02\x03\x04\x05\x06\x10\x20\x30\x40\x50\x60";
  folder.write("train-images-idx3-ubyte", idx_file({2, 2, 3}, values));
  folder.write("train-labels-idx1-ubyte.gz", gzip(idx_file({2}, std::string("\x07\x00", 2))));
  CHECK(layout_of(folder.path()) == Layout::idx);
  const Preprocess same{.height = 2, .width = 3, .channels = 1, .mean = {0}, .std = {1}};
  const ClassData data = load_classes(folder.path(), "train", same);
  CHECK(data.classes == Names{"0", "7"});
  CHECK(data.labels == std::vector<int32_t>{1, 0});
  CHECK(data.names == Names{"train/0", "train/1"});
  CHECK(pixels_of(data, 1) == std::vector<uint8_t>{0x10, 0x20, 0x30, 0x40, 0x50, 0x60});
  CHECK(groups_of(data) == Names{""});
  CHECK(error_of([&] { only_groups(data, Names{"7"}); }).starts_with("the data has no groups"));

  // Another size and colour.
  const ClassData large = load_classes(folder.path(), "train", {.height = 4, .width = 6});
  CHECK(pixels_of(large, 0) == prepare_image({2, 3, 1, {1, 2, 3, 4, 5, 6}}, {.height = 4, .width = 6}).pixels);
  CHECK(error_of([&] { load_classes(folder.path(), "test", same); }) ==
        folder.path("t10k-images-idx3-ubyte") +
            ": no such file, nor t10k-images-idx3-ubyte.gz, expected the test part of the data set");
  CHECK(check_data(folder.path()).problems.size() == 1);
}

TEST_CASE("IDX files that lie or end early are refused in one line") {
  const DataFolder folder;
  const std::string labels = folder.write("labels", idx_file({2}, std::string("\x00\x01", 2)));
  const auto error = [&](const std::string& bytes) {
    const std::string path = folder.write("images", bytes);
    const std::string text = error_of([&] { read_idx(path, labels); });
    CHECK(text.find('\n') == std::string::npos);
    return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
  };
  const std::string whole = idx_file({2, 2, 2}, "abcdefgh");
  CHECK(error(whole).empty());
  CHECK(error(gzip(whole)).empty());
  CHECK(error(idx_file({2}, "ab")) == "it begins with 0x00000801, expected 0x00000803, IDX of bytes in 3 dimensions");
  CHECK(error(whole + "x") == "it goes on after the values that its header counts");
  CHECK(error(gzip(whole + "x")) == "it goes on after the values that its header counts");
  CHECK(error(gzip(whole) + "x") == "it goes on after the values that its header counts");
  CHECK(error(idx_file({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "ab")) ==
        "it claims 4294967295 values, expected at most 2147483648");
  CHECK(error(idx_file({2, 1000, 1000}, "ab")) == "it claims 2 x 1000 x 1000 values, more than the file can hold");
  CHECK(error(gzip(idx_file({2, 1000, 1000}, "ab"))) ==
        "it claims 2 x 1000 x 1000 values, more than the file can hold");
  CHECK(error(gzip(idx_file({2, 20, 20}, "ab"))) == "the compressed data ends early, expected 798 more bytes");
  CHECK(error(idx_file({3, 1, 1}, "abc")) == labels + ": 2 labels for the 3 images of " + folder.path("images"));
  CHECK(error(idx_file({2, 0, 2}, "")) == "2 x 0 x 2 values, expected images");
  CHECK(!error("").empty());
  std::string wrong_sum = gzip(whole);
  wrong_sum[wrong_sum.size() - 6] ^= 1;
  CHECK(error(wrong_sum) == "damaged gzip data (incorrect data check)");
  for (const std::string& file : {whole, gzip(whole)})
    for (size_t length = 0; length < file.size(); length++) {
      CAPTURE(length);
      CHECK(!error(file.substr(0, length)).empty());
    }
}

TEST_CASE("CIFAR files: planes become pixels, the fine label counts") {
  const DataFolder folder;
  std::string planes;
  for (int c = 0; c < 3; c++)
    for (int i = 0; i < 1024; i++) planes += static_cast<char>(i / 32 + 50 * c);
  const auto record = [&](const std::string& labels) { return labels + planes; };
  for (int i = 1; i <= 5; i++)
    folder.write(fmt::format("data_batch_{}.bin", i), record(std::string(1, static_cast<char>(i))) + record("\x09"));
  folder.write("test_batch.bin", record("\x02") + record("\x03"));
  CHECK(layout_of(folder.path()) == Layout::cifar10);
  const Preprocess colour{.height = 32, .width = 32}, swapped{.height = 32, .width = 32, .color_order = "bgr"};
  const ClassData data = load_classes(folder.path(), "train", colour);
  CHECK(data.classes == Names{"1", "2", "3", "4", "5", "9"});
  CHECK(data.labels == std::vector<int32_t>{0, 5, 1, 5, 2, 5, 3, 5, 4, 5});
  const auto pixels = pixels_of(data, 3);
  CHECK(std::vector(pixels.begin() + 95, pixels.begin() + 99) == std::vector<uint8_t>{100, 1, 51, 101});
  CHECK(pixels_of(load_classes(folder.path(), "test", swapped), 0)[0] == 100);
  const Preprocess grey{.height = 32, .width = 32, .channels = 1, .mean = {0}, .std = {1}};
  CHECK(pixels_of(load_classes(folder.path(), "test", grey), 0)[32] == (77 * 1 + 150 * 51 + 29 * 101 + 128) / 256);

  const auto problems_with = [&](const std::string& word) {
    return std::ranges::count_if(check_data(folder.path()).problems, [&](const std::string& problem) {
      return problem.find(word + ':') != std::string::npos;
    });
  };
  folder.write("batches.meta.txt", "a\nb\nplane\ncar\ne\nf\ng\nh\ni\nj\n\n");
  CHECK(load_classes(folder.path(), "test", colour).classes == Names{"plane", "car"});
  CHECK(problems_with("test_batch.bin") == 0);
  folder.write("batches.meta.txt", "a\nb\n");
  CHECK(error_of([&] { load_classes(folder.path(), "test", colour); }) ==
        folder.path("batches.meta.txt") + ": 2 names, expected 10, one a line");
  std::filesystem::remove(folder.path("batches.meta.txt"));
  folder.write("test_batch.bin", record("\x02") + record("\x0A"));
  CHECK(error_of([&] { load_classes(folder.path(), "test", colour); }) ==
        folder.path("test_batch.bin") + ": record 1 has label 10, expected less than 10");
  folder.write("test_batch.bin", record("\x02") + "x");
  CHECK(error_of([&] { load_classes(folder.path(), "test", colour); }) ==
        folder.path("test_batch.bin") + ": 3074 bytes, expected records of 3073");
  CHECK(problems_with("test_batch.bin") == 1);

  const DataFolder hundred;
  hundred.write("test.bin", record("\x05\x63") + record("\x05\x01"));
  CHECK(layout_of(hundred.path()) == Layout::cifar100);
  CHECK(load_classes(hundred.path(), "test", colour).classes == Names{"1", "99"});
  CHECK(pixels_of(load_classes(hundred.path(), "test", colour), 1) == pixels);
}

TEST_CASE("Fashion-MNIST") {
  const std::string folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the package dataset-fashion-mnist is not installed");
    return;
  }
  const Preprocess p{.height = 28, .width = 28, .channels = 1, .mean = {0}, .std = {1}};
  const ClassData train = load_classes(folder, "train", p), test = load_classes(folder, "test", p);
  CHECK(train.images.size() == 60000);
  CHECK(test.images.size() == 10000);
  for (const ClassData* data : {&train, &test}) {
    std::map<int32_t, int64_t> counts;
    for (const int32_t label : data->labels) counts[label]++;
    CHECK(counts.size() == 10);
    for (const auto& [label, count] : counts) CHECK(count == data->images.size() / 10);
  }
  // What gzip and od show: the labels that the test part begins with, and the sums of its first and last picture.
  for (const auto& [image, label] : std::map<int, const char*>{{0, "9"}, {1, "2"}, {2, "1"}, {4, "6"}})
    CHECK(test.classes[test.labels[image]] == label);
  const auto sum = [&](int64_t image) {
    return std::accumulate(test.images.pixels(image), test.images.pixels(image) + 784, 0);
  };
  CHECK(sum(0) == 33456);
  CHECK(sum(9999) == 24390);
}

}  // namespace
}  // namespace lookalike
