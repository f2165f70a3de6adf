#include "engine/data/image_files.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "engine/data/classes.h"
#include "tests/unit/picture_files.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using std::string_literals::operator""s;

// An e with an acute accent, in both forms.
constexpr const char *kComposed = "caf\xC3\xA9", *kDecomposed = "cafe\xCC\x81";

const std::string kHeic =
    "\0\0\0\x18"
    "ftypheic\0\0\0\0"s;

}  // namespace

TEST_CASE("images are told by content or extension, all other files are named") {
  const DataFolder folder;
  const std::string png = encode_png(test_image(2, 2, 3));
  for (const char* name : {"a/1", "a/2.JPEG", "a/b/3.dat", "z.webp"}) folder.write(name, png);
  folder.write("a/broken.gif", "not a picture");
  folder.write("b/notes.txt", "BM, then text");
  folder.write("b/photo.heic", kHeic);
  for (const char* name :
       {".DS_Store", "a/._2.JPEG", "a/Thumbs.db", "__MACOSX/a/2.JPEG", ".hidden/1.png", "desktop.ini"})
    folder.write(name, png);
  fs::create_symlink(folder.path("nowhere"), folder.path("gone.png"));
  fs::create_symlink(folder.path("itself"), folder.path("itself"));

  const ImageListing listing = list_images(folder.path());
  CHECK(listing.images == Names{"a/1", "a/2.JPEG", "a/b/3.dat", "a/broken.gif", "gone.png", "z.webp"});
  CHECK(listing.passed_over == Names{"b/notes.txt", "b/photo.heic", "itself"});
  CHECK(describe_passed_over(folder.path(), listing.passed_over) ==
        folder.path() + ": passed over 3 files that are no images: b/notes.txt, b/photo.heic (a HEIC picture), itself");
  CHECK(describe_passed_over("f", {}) == "");
  CHECK(error_of([&] { require_images("f", {.passed_over = {"a"}}); }) ==
        "f: no image in it, expected JPEG, PNG, WebP, GIF or BMP files; passed over 1 file that is no image: a");
  CHECK(describe_passed_over("f", {"a\n"}) == "f: passed over 1 file that is no image: a\\n");
  const Names many(11, "x");
  CHECK(describe_passed_over("f", many) ==
        "f: passed over 11 files that are no images: x, x, x, x, x, x, x, x, x, x, ...");
}

TEST_CASE("a folder that can't be read is an error with the reason") {
  const DataFolder folder;
  folder.write("file", "");
  fs::create_symlink(folder.path("loop"), folder.path("loop"));
  for (const auto& body :
       {+[](const std::string& path) { list_images(path); }, +[](const std::string& path) { ImageFolder{path}; },
        +[](const std::string& path) { layout_of(path); }}) {
    const std::string message = error_of([&] { body(folder.path("loop")); });
    CAPTURE(message);
    CHECK(message.starts_with(folder.path("loop") + ": cannot "));
    CHECK(message.ends_with("Too many levels of symbolic links"));
  }
  CHECK(
      error_of([&] { list_images(folder.path("file")); }).ends_with("/file: cannot list the folder: Not a directory"));
  CHECK(
      error_of([&] { ImageFolder(folder.path("file")); }).ends_with("/file: no such folder, expected one with images"));
  folder.write("a/1.png", "");
  fs::create_directory_symlink(folder.path("a"), folder.path("a/again"));
  CHECK(error_of([&] { list_images(folder.path()); }).find("folders in folders, 17 deep") != std::string::npos);
}

TEST_CASE("only images count in a side of pairs") {
  const DataFolder folder;
  for (const char* name : {"000.png", "001.png", "House.jpg"}) folder.write(name, "");
  for (const char* name : {"000.txt", "001", "Thumbs.db", "only.txt", "sub/1.png"}) folder.write(name, "text");
  folder.write("002.heic", kHeic);
  const ImageFolder images(folder.path());
  CHECK(images.find("000", "w") == folder.path("000.png"));
  CHECK(images.find("001", "w") == folder.path("001.png"));
  CHECK(images.passed_over() == Names{"000.txt", "001", "002.heic", "only.txt", "sub/"});
  const auto message = [&](const char* name) { return error_of([&] { images.find(name, "p.csv:2"); }); };
  CHECK(message("002") == "p.csv:2: '002' in " + folder.path() + " is 002.heic (a HEIC picture), expected an image");
  CHECK(message("only") == "p.csv:2: 'only' in " + folder.path() + " is only.txt, expected an image");
  CHECK(message("house.JPG") == "p.csv:2: no image 'house.JPG' in " + folder.path() + ", the nearest is 'House.jpg'");
  CHECK(message("House.png").ends_with(", the nearest is 'House.jpg'"));
  CHECK(message("Hous.jpg").ends_with(", the nearest is 'House.jpg'"));
  CHECK(message("003.png").ends_with("no image '003.png' in " + folder.path()));
}

TEST_CASE("names match in either Unicode normal form") {
  CHECK(composed(kDecomposed) == kComposed);
  CHECK(composed("\xFF\xFE") == "\xFF\xFE");
  const DataFolder folder;
  folder.write("left/"s + kDecomposed + ".png", "");
  folder.write("right/"s + kComposed + ".png", "");
  const ImageFolder left(folder.path("left")), right(folder.path("right"));
  for (const std::string& name : {std::string(kComposed), std::string(kDecomposed)}) {
    CHECK(left.find(name, "w") == folder.path("left/"s + kDecomposed + ".png"));
    CHECK(left.find(name + ".png", "w") == folder.path("left/"s + kDecomposed + ".png"));
    CHECK(right.find(name, "w") == folder.path("right/"s + kComposed + ".png"));
  }
  folder.write("left/"s + kComposed + ".png", "");
  CHECK(error_of([&] { ImageFolder(folder.path("left")); }) ==
        fmt::format("{}: '{}.png' and '{}.png' differ in their Unicode normal form alone, expected names that differ "
                    "otherwise",
                    folder.path("left"), kDecomposed, kComposed));

  const std::string csv =
      folder.write("p.csv", fmt::format("left,right\n{},a\n{},a\n", kComposed, kDecomposed));
  CHECK(error_of([&] { read_pairs(csv); }).find("is already in line 2") != std::string::npos);
  const Candidates candidates{.left = {kComposed}, .right = {{"x", kDecomposed}}, .lines = {2}};
  CHECK(places_of_truth(candidates, std::vector<Pair>{{kDecomposed, kComposed}}, "c.csv") == std::vector<int64_t>{1});
}

TEST_CASE("classes of other formats are found, and what is passed over is told") {
  const DataFolder folder;
  const Image image = test_image(4, 4, 3);
  for (int i = 0; i < 2; i++) {
    folder.write(fmt::format("gif/{}", i), gif_file(test_image(4, 4, 1, i).pixels, 4, 4));
    folder.write(fmt::format("jpeg/{}.png", i), libjpeg_file(image));
  }
  folder.write("jpeg/2.heic", kHeic);
  const ClassData data = load_classes(folder.path(), "train", {.height = 4, .width = 4});
  CHECK(data.classes == Names{"gif", "jpeg"});
  CHECK(data.images.size() == 4);
  CHECK(data.passed_over ==
        Names{folder.path() + ": passed over 1 file that is no image: jpeg/2.heic (a HEIC picture)"});
}

}  // namespace lookalike
