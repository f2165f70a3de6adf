// Files made to take a reader's stack, memory or time: all are bounded by the file's own size.
// Sizes are such that a reader of quadratic time would be seen to hang.
#include <cmath>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>
#include <zlib.h>

#include "engine/core/json_text.h"
#include "engine/core/options.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "engine/data/pairs.h"
#include "engine/data/preprocess.h"
#include "engine/data/sampler.h"
#include "engine/io/onnx_file.h"
#include "engine/io/safetensors.h"
#include "engine/train/checkpoint.h"
#include "engine/train/recipe.h"
#include "models/import.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

// A number of /proc/self/status in bytes; 0 where there is none.
int64_t own_status(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return 1024 * std::stoll(line.substr(key.size() + 1));
  return 0;
}

// By how many bytes the process grows at most while `body` runs. The address sanitizer keeps what
// is freed.
template <class Body>
int64_t peak_of(const Body& body) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the highest size so far becomes the size of now
  [[maybe_unused]] const int64_t before = own_status("VmRSS");
  body();
#if defined(__SANITIZE_ADDRESS__)
  return 0;
#else
  return own_status("VmHWM") - before;
#endif
}

constexpr int64_t kMegabyte = 1 << 20;

std::string repeated(const std::string& text, int64_t times) {
  std::string result;
  for (int64_t i = 0; i < times; i++) result += text;
  return result;
}

TEST_CASE("JSON from a file may be neither deep nor have a key twice, nor take many times its size") {
  const auto error = [](const std::string& text) { return error_of([&] { parse_json(text, "a"); }); };
  CHECK(parse_json(R"({"a": [1, -2, 3.5, true, null, "x", {"b": {}}]})", "a").dump() ==
        R"({"a":[1,-2,3.5,true,null,"x",{"b":{}}]})");
  CHECK(parse_json(" 7 ", "a") == 7);
  CHECK(error(std::string(80'000, '[')) == "a is nested too deeply, in more than 32 levels");
  CHECK(error(repeated("{\"a\":", 80'000)) == "a is nested too deeply, in more than 32 levels");
  CHECK(parse_json(std::string(32, '[') + std::string(32, ']'), "a").is_array());
  CHECK(error(R"({"b":{"a":1,"a":2}})") == R"(a has "a" twice)");
  CHECK(error("{\"a\":1") == "a is not valid JSON (at its byte 7)");
  CHECK(error("[1] 2") == "a is not valid JSON (at its byte 5)");
  CHECK(error("[1e999]").starts_with("a holds a number out of range"));
  const std::string objects = "[" + repeated("{},", 1'100'000) + "{}]";
  std::string message;
  CHECK(peak_of([&] { message = error(objects); }) < 48 * std::ssize(objects));
  CHECK(message.find("holds more than 16777216 numbers") != std::string::npos);
}

TEST_CASE("the metadata of a model may not be nested without end") {
  TemporaryFolder folder;
  const std::string deep = repeated("{\"a\":", 80'000) + "1" + std::string(80'000, '}');
  for (const std::string key : {"model", "preprocess", "recipe", "progress"}) {
    TensorFile file;
    file.metadata = {
        {"format", "lookalike-1"}, {"model", "{}"}, {"preprocess", to_json(Preprocess{}).dump()}, {"seen", "all"}};
    file.metadata[key] = deep;
    write_safetensors(folder / "a", file);
    CHECK(error_of([&] { read_checkpoint(folder / "a"); }) ==
          (folder / "a").string() + ": metadata '" + key + "' is nested too deeply, in more than 32 levels");
  }
}

TEST_CASE("tensors of any number are written, read and refused in linear time") {
  TemporaryFolder folder;
  TensorFile file;
  const Tensor one = Tensor::from<uint8_t>({1}, std::vector<uint8_t>{7});
  constexpr int kTensors = 60'000;
  for (int i = 0; i < kTensors; i++) file.tensors[fmt::format("t{}", i)] = one;
  write_safetensors(folder / "a", file);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(folder / "a"));
  CHECK(peak_of([&] { CHECK(read_safetensors_header(folder / "a").tensors.size() == kTensors); }) < 16 * size);

  // A shape of many axes, a name of many prefixes.
  const std::string header =
      R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":[)" + repeated("0,", 1'000'000) + "0]}}";
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; i++) bytes[i] = static_cast<char>(header.size() >> 8 * i);
  write_bytes(folder / "b", bytes + header + '\0');
  CHECK(error_of([&] { read_safetensors(folder / "b"); }).find("shape has 1000001 axes") != std::string::npos);
  TensorFile wrapped;
  wrapped.tensors[repeated("module.", 100'000) + "x"] = one;
  CHECK(strip_prefixes(wrapped).find("module.module.") != std::string::npos);
}

TEST_CASE("settings may be neither deep nor endless") {
  const auto error = [](const std::string& text) { return error_of([&] { parse_toml(text, "r"); }); };
  CHECK(error("b = 1\na" + repeated(".a", 40'000) + " = 1") ==
        "r: line 2: more than 64 dots, expected keys of a few parts");
  CHECK(error("[a" + repeated(".\"a=\"", 40'000) + "]").find("line 1: more than 64 dots") != std::string::npos);
  CHECK(error("a = " + std::string(40'000, '[')).starts_with("r: line 1: "));
  CHECK(error("a = " + std::string(40, '[') + std::string(40, ']')) ==
        "r: settings are nested more than 16 levels deep");
  // As deep as lists in lists of dotted keys can be.
  const std::string keys = "a" + repeated(".a", 60);
  CHECK(error("a = " + repeated("[\n{" + keys + " = ", 120) + "1" + repeated("}\n]", 120)) ==
        "r: settings are nested more than 16 levels deep");
  CHECK(error("a = '" + std::string(2 * kMegabyte, 'x') + "'").find("at most 1048576 bytes") != std::string::npos);
  CHECK(parse_toml("# " + std::string(500, '.') + "\na = 1  # end ...", "r")["a"] == 1);

  const auto set_error = [](const std::string& text) {
    nlohmann::json table = nlohmann::json::object();
    return error_of([&] { set_option(table, text); });
  };
  CHECK(set_error("a" + repeated(".a", 40'000) + "=1").find("a key of a few parts") != std::string::npos);
  CHECK(set_error("a={b" + repeated(".a", 40'000) + "=1}").find("more than 64 dots") != std::string::npos);
  CHECK(set_error("a=" + std::string(100, '[') + std::string(100, ']')).find("nested") != std::string::npos);
  CHECK(set_error("a=1\nb=2").find("expected one value") != std::string::npos);
  CHECK(set_error("a.b=1.5") == "");

  CHECK(edit_distance(std::string(1 << 20, 'x'), std::string(1 << 20, 'y')) == 200);
}

TEST_CASE("numbers of the preprocessing are finite and leave inputs finite") {
  nlohmann::json good = to_json(Preprocess{});
  const auto error = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = good;
    changed[key] = value;
    return error_of([&] { preprocess_from_json(changed, "p"); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  CHECK(error("mean", {0.5, 0, 0}) == "");
  for (const double wrong : {nan, infinity, -infinity, 1e300, 1e39}) {
    for (const char* key : {"mean", "std"})
      CHECK(error(key, {1, 1, wrong}).find("expected a list of at most") != std::string::npos);
  }
  CHECK(error("std", {1e-300, 1, 1}).starts_with("p: std holds 1e-300"));
  CHECK(error("height", uint64_t{1} << 63) != "");
}

TEST_CASE("a long thin picture takes memory for its pixels, not for a square of its longer side") {
  Preprocess preprocess{.height = 24, .width = 24};
  Image tall{200'000, 1, 3, std::vector<uint8_t>(600'000, 0)}, wide{1, 200'000, 3, std::vector<uint8_t>(600'000, 0)};
  for (const std::string crop : {"none", "ink"}) {
    preprocess.crop = crop;
    for (const Image* image : {&tall, &wide}) {
      Image result;
      CHECK(peak_of([&] { result = prepare_image(*image, preprocess); }) < 16 * kMegabyte);
      REQUIRE(result.pixels.size() == 24 * 24 * 3);
      // Cropped, a line of no width on white; else nothing but black.
      CHECK(result.pixels[0] == (crop == "ink" ? 255 : 0));
      CHECK(result.pixels[(12 * 24 + 12) * 3] == (crop == "ink" ? 255 : 0));
    }
  }
}

TEST_CASE("where the square around the ink is not made the picture is the same") {
  for (const bool tall : {true, false}) {
    for (const int64_t channels : {1, 3}) {
      const Image pattern = test_image(tall ? 700 : 30, tall ? 30 : 700, channels, 3);
      Image image = pattern;
      for (uint8_t& value : image.pixels) value /= 3;  // dark everywhere, so that the square is 840 pixels wide
      const Image expected = resize(crop_to_ink(image), 32, 40), found = resize_to_ink(image, 32, 40);
      REQUIRE(found.pixels.size() == expected.pixels.size());
      int worst = 0;
      for (size_t i = 0; i < found.pixels.size(); i++)
        worst = std::max(worst, std::abs(found.pixels[i] - expected.pixels[i]));
      CHECK(worst <= 1);
    }
  }
  // Without a crop, from where the library's tables would pass the pixels.
  const auto ramp_of = [](int64_t height) {
    Image ramp{height, 1, 1, std::vector<uint8_t>(height)};
    for (int64_t y = 0; y < height; y++) ramp.pixels[y] = static_cast<uint8_t>(y * 255 / (height - 1));
    return resize(ramp, 16, 1).pixels;
  };
  const auto by_library = ramp_of(4000), ours = ramp_of(40'000);
  for (int i = 0; i < 16; i++) CHECK(std::abs(by_library[i] - ours[i]) <= 1);
}

TEST_CASE("a PNG file that goes on behind its pixels is refused before it is unpacked") {
  const std::string zeros(16 * kMegabyte, '\0');
  for (const int interlaced : {0, 1}) {
    std::string png = png_file(1, 1, 8, 0, zeros);
    // The header's last byte, whose checksum is that of 13 bytes and the type.
    png[28] = static_cast<char>(interlaced);
    const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(png.data() + 12), 17);
    for (int i = 0; i < 4; i++) png[29 + i] = static_cast<char>(crc >> 8 * (3 - i));
    std::string message;
    CHECK(peak_of([&] { message = error_of([&] { decode_image(png, 3, "a.png"); }); }) < kMegabyte);
    CHECK(message == "a.png: damaged image, its data goes on behind its pixels");
  }
  CHECK(error_of([] { decode_image(png_file(1 << 25, 1, 1, 0, ""), 3, "a.png"); }).find("16777216 a side") !=
        std::string::npos);
}

TEST_CASE("a CSV file of commas or of wrong rows takes a few times its size") {
  const DataFolder folder;
  const std::string commas = folder.write("commas.csv", "left,right\n" + std::string(4'000'000, ',') + "\n");
  std::string message;
  CHECK(peak_of([&] { message = error_of([&] { read_pairs(commas); }); }) < 128 * kMegabyte);
  CHECK(message == commas + ":2: more than 1048576 cells");
  const std::string head = folder.write("head.csv", std::string(1'000'000, ',') + "\n");
  message = error_of([&] { read_candidates(head); });
  CHECK(message.find("and 999991 more', expected left,c0,c1") != std::string::npos);

  const std::string rows = folder.write("rows.csv", "left,right\n" + repeated("a\n", 300'000));
  std::vector<std::string> problems;
  CHECK(peak_of([&] { read_pairs(rows, &problems); }) < 32 * kMegabyte);
  CHECK(problems.size() == 100'001);
  CHECK(problems.back() == "more than 100000 problems, the rest is not listed");
  // Rows that are too wide are read one by one.
  const std::string wide = folder.write("wide.csv", "left,right\n" + repeated(std::string(200'000, ',') + "\n", 50));
  problems.clear();
  CHECK(peak_of([&] { read_pairs(wide, &problems); }) < 64 * kMegabyte);
  CHECK(problems.size() == 50);
}

TEST_CASE("names of any length and number are looked up in linear time") {
  std::string marks;
  for (int i = 0; i < 200'000; i++) marks += "\xCC\x81\xCC\xA3";  // accents above and below, which normal forms sort
  CHECK(composed(marks) == marks);

  const DataFolder folder;
  for (int i = 0; i < 3; i++) folder.write(fmt::format("beach{}.png", i), "");
  folder.write("note.txt", "x");
  const ImageFolder images(folder.path());
  const auto miss = [&](const std::string& name) { return error_of([&] { images.find(name, "here"); }); };
  CHECK(miss("note").find("'note.txt'") == std::string::npos);
  CHECK(miss("note").find("expected an image") != std::string::npos);
  CHECK(miss("note.txt").find("expected an image") != std::string::npos);
  for (int i = 0; i < 100; i++) CHECK(miss("Beach1").find("the nearest is 'beach1'") != std::string::npos);
  CHECK(miss("Beach1").find("nearest") == std::string::npos);
}

TEST_CASE("links between folders do not multiply without end") {
  const DataFolder folder;
  for (int i = 0; i < 14; i++) {
    std::filesystem::create_directories(folder.path(fmt::format("d{}", i)));
    for (int link = 0; link < 10 && i > 0; link++)
      std::filesystem::create_directory_symlink(folder.path(fmt::format("d{}", i - 1)),
                                                folder.path(fmt::format("d{}/l{}", i, link)));
  }
  CHECK(error_of([&] { list_images(folder.path("d13")); }).find("links lead to this folder more than 16 times") !=
        std::string::npos);
  CHECK(list_images(folder.path("d1")).images.empty());
}

TEST_CASE("classes of very different size are sampled in linear time") {
  std::vector<int32_t> labels(300'000, 0);
  for (int32_t label = 1; label <= 100'000; label++) labels.insert(labels.end(), 2, label);
  CHECK(std::ssize(class_sampler(labels, 1).epoch(0)) == 250'000);

  std::vector<int32_t> one_apart(30'000, 0);
  one_apart[12'345] = 1;
  int64_t different = 0;
  for (const Sample& sample : same_different_sampler(one_apart, 1).epoch(0)) {
    CHECK(sample.images[0] != sample.images[1]);
    different += one_apart[sample.images[0]] != one_apart[sample.images[1]];
  }
  CHECK(different > 14'500);
  CHECK(different < 15'500);
}

// A field of bytes, and one of a number.
std::string field(int number, const std::string& content) {
  std::string bytes(1, static_cast<char>(number << 3 | 2));
  uint64_t size = content.size();
  for (; size >= 128; size >>= 7) bytes += static_cast<char>(size | 128);
  return bytes + static_cast<char>(size) + content;
}

TEST_CASE("an ONNX file can make tensors of 16 times its size, and no more") {
  const DataFolder folder;
  const auto error = [&](const std::string& graph) {
    const std::string path = folder.write("a.onnx", "\x08\x07" + field(7, graph));
    std::string message;
    CHECK(peak_of([&] { message = error_of([&] { read_onnx(path); }); }) < 16 * kMegabyte + 16 * std::ssize(graph));
    return message;
  };
  std::string tiny;
  for (int i = 0; i < 100'000; i++) tiny += field(5, field(8, fmt::format("{:x}", i)) + "\x10\x02" + field(9, "1"));
  CHECK(error(tiny).find("too many tensors for a file of this size") != std::string::npos);
  std::string empty;
  for (int i = 0; i < 100'000; i++)
    empty += field(5, field(8, fmt::format("{:x}", i)) + "\x10\x02\x08" + std::string(1, '\0'));
  CHECK(error(empty).find("too many tensors for a file of this size") != std::string::npos);
  CHECK(error(field(5, field(8, "a") + "\x10\x02" + field(1, std::string(1'000'000, '\1')))).find("shape has 7 axes") !=
        std::string::npos);
  // Numbers of a byte each, for no element.
  CHECK(error(field(5, field(8, "a") + "\x10\x07" + field(7, std::string(1'000'000, '\1'))))
            .find("8000000 bytes for shape []") != std::string::npos);
}

}  // namespace
}  // namespace lookalike
