#include "engine/data/image_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>

#include <sys/stat.h>
#include <utf8proc.h>

#include "engine/core/error.h"
#include "engine/core/options.h"
#include "engine/data/image.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 16, kMaxVisits = 16;
// No system has longer names of files, and utf8proc sorts combining marks in quadratic time.
constexpr size_t kMaxName = 1024;
// Looking for the nearest name takes time, and nobody reads more of them.
constexpr int64_t kMaxSuggestions = 100;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_ignored(const std::string& name) {
  constexpr std::array<std::string_view, 4> kSystem{"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"};
  return name.starts_with('.') || std::ranges::find(kSystem, lower(name)) != kSystem.end();
}

bool has_image_extension(const fs::path& path) {
  constexpr std::array<std::string_view, 8> kExtensions{".jpg", ".jpeg", ".jpe", ".jfif",
                                                        ".png", ".webp", ".gif", ".bmp"};
  return std::ranges::find(kExtensions, lower(path.extension())) != kExtensions.end();
}

// What a regular file begins with; empty where it can't be read.
std::string signature_of(const fs::path& path) {
  std::error_code error;
  const bool regular = fs::is_regular_file(path, error);
  check(error.value() != EIO, "cannot read '{}': {}", path.string(), error.message());
  if (!regular) return "";
  try {
    const InputFile file(path);
    std::string bytes(std::min<int64_t>(file.size(), kSignatureBytes), '\0');
    file.read(0, bytes.data(), std::ssize(bytes));
    return bytes;
  } catch (const Error&) {
    if (errno == EIO) throw;  // not a file that is none of ours, but a disk that fails
    return "";
  }
}

// Calls visit(name, whether it is a folder) for all that is in `folder` and not ignored.
void for_each_entry(const fs::path& folder, const std::function<void(const std::string&, bool)>& visit) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    std::error_code unknown;  // a link to nowhere is no folder
    if (!is_ignored(name)) visit(name, entry->is_directory(unknown));
  }
  check(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
}

void add_file(const fs::path& folder, const std::string& path, ImageListing& listing) {
  const bool image = has_image_extension(path) || is_image(signature_of(folder / path));
  (image ? listing.images : listing.passed_over).push_back(path);
}

void sort(ImageListing& listing) {
  std::ranges::sort(listing.images);
  std::ranges::sort(listing.passed_over);
}

std::string stem_of(const std::string& name) {
  return fs::path(name).stem();
}

// Of numbered files the next number is no nearer than any other.
std::string digits_of(std::string name) {
  std::erase_if(name, [](unsigned char c) { return !std::isdigit(c); });
  return name;
}

// "a.heic (a HEIC picture)"
std::string described(const fs::path& folder, const std::string& path) {
  const std::string kind = path.ends_with('/') ? "a folder" : kind_of_file(signature_of(folder / path));
  return kind.empty() ? path : fmt::format("{} ({})", path, kind);
}

std::string passed_over_words(const std::string& folder, const std::vector<std::string>& passed_over) {
  constexpr size_t kNamed = 10;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(passed_over.size(), kNamed); i++) names.push_back(described(folder, passed_over[i]));
  return fmt::format("passed over {} {}: {}{}", passed_over.size(),
                     passed_over.size() == 1 ? "file that is no image" : "files that are no images",
                     fmt::join(names, ", "), passed_over.size() > kNamed ? ", ..." : "");
}

}  // namespace

void check_folder(const std::string& folder, const std::string& expected) {
  std::error_code error;
  const bool is_folder = fs::is_directory(folder, error);
  check(is_folder || !error || error == std::errc::no_such_file_or_directory, "{}: cannot read the folder: {}", folder,
        error.message());
  check(is_folder, "{}: no such folder, expected {}", folder, expected);
}

ImageListing list_images(const std::string& folder) {
  ImageListing listing;
  std::map<std::pair<dev_t, ino_t>, int> visits;
  const std::function<void(const std::string&, int)> walk = [&](const std::string& below, int depth) {
    const fs::path here = below.empty() ? fs::path(folder) : fs::path(folder) / below;
    check(depth <= kMaxDepth, "{}: folders in folders, {} deep, expected at most {}", here.string(), depth, kMaxDepth);
    // Some folders of links to each other have more paths than anybody could visit.
    struct stat status;
    check(stat(here.c_str(), &status) != 0 || ++visits[{status.st_dev, status.st_ino}] <= kMaxVisits,
          "{}: links lead to this folder more than {} times", here.string(), kMaxVisits);
    for_each_entry(here, [&](const std::string& name, bool is_folder) {
      const std::string path = below.empty() ? name : below + "/" + name;
      is_folder ? walk(path, depth + 1) : add_file(folder, path, listing);
    });
  };
  walk("", 1);
  sort(listing);
  return listing;
}

void check_images(std::span<const std::string> files) {
  for (const std::string& file : files) {
    if (is_image(signature_of(file))) continue;
    try {
      read_image(file, 3);  // says what is wrong
    } catch (const Error& error) {
      fail("{} (--skip-corrupt leaves such images out)", error.what());
    }
  }
}

std::string describe_passed_over(const std::string& folder, const std::vector<std::string>& passed_over) {
  if (passed_over.empty()) return "";
  return printable(fmt::format("{}: {}", folder, passed_over_words(folder, passed_over)));
}

void require_images(const std::string& folder, const ImageListing& listing) {
  const bool empty = listing.passed_over.empty();
  check(!listing.images.empty(), "{}: no image in it, expected JPEG, PNG, WebP, GIF or BMP files{}", folder,
        empty ? "" : "; " + passed_over_words(folder, listing.passed_over));
}

std::string composed(std::string_view name) {
  const bool ascii = std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii || name.size() > kMaxName) return std::string(name);
  utf8proc_uint8_t* result = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()), std::ssize(name), &result,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  return size < 0 ? std::string(name) : std::string(reinterpret_cast<const char*>(result), size);
}

ImageFolder::ImageFolder(const std::string& path) : path_(path) {
  check_folder(path, "one with images");
  for_each_entry(path, [&](const std::string& name, bool is_folder) {
    if (is_folder)
      listing_.passed_over.push_back(name + "/");
    else
      add_file(path, name, listing_);
  });
  sort(listing_);
  for (const std::string& file : listing_.passed_over)
    for (const std::string& known : {file, stem_of(file)}) passed_over_.try_emplace(composed(known), file);
  std::map<std::string, std::string> names;
  for (const std::string& file : listing_.images) {
    const auto [other, fresh] = names.try_emplace(composed(file), file);
    check(fresh, "{}: '{}' and '{}' differ in their Unicode normal form alone, expected names that differ otherwise",
          path, other->second, file);
    by_name_[composed(file)].push_back(file);
    if (const std::string stem = stem_of(file); stem != file) by_name_[composed(stem)].push_back(file);
  }
}

std::string ImageFolder::suggestion_for(const std::string& key) const {
  if (by_name_.empty() || suggestions_ == kMaxSuggestions) return "";
  suggestions_++;
  std::vector<std::string> names;
  for (const auto& [known, files] : by_name_) names.push_back(known);
  const std::string close = nearest(key, names);
  const bool is_close = lower(close) == lower(key) || lower(stem_of(close)) == lower(stem_of(key)) ||
                        (edit_distance(close, key) <= key.size() / 4 && digits_of(close) == digits_of(key));
  return is_close ? fmt::format(", the nearest is '{}'", close) : "";
}

std::string ImageFolder::find(const std::string& name, const std::string& where) const {
  const std::string key = composed(name);
  const auto found = by_name_.find(key);
  if (found == by_name_.end()) {
    const auto passed_over = passed_over_.find(key);
    if (passed_over != passed_over_.end())
      fail("{}: '{}' in {} is {}, expected an image", where, name, path_, described(path_, passed_over->second));
    fail("{}: no image '{}' in {}{}", where, name, path_, suggestion_for(key));
  }
  // A whole name wins over a stem: "a.png" beside "a.png.jpg".
  const auto& files = found->second;
  const auto whole = std::ranges::find(files, key, [](const std::string& file) { return composed(file); });
  if (whole != files.end()) return path_ + "/" + *whole;
  check(files.size() == 1, "{}: '{}' in {} is '{}' or '{}', expected a name with its extension", where, name, path_,
        files[0], files.back());
  return path_ + "/" + files[0];
}

}  // namespace lookalike
