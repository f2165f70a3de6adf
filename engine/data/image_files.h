// Which files of a folder are images, and images by their names.
//
// A file is an image by its content, or by its extension (JPEG, PNG, WebP, GIF, BMP; any case), so that a damaged one is
// named when it is read. What is neither is passed over, and listed as that. Hidden files, and those that systems leave in
// folders (Thumbs.db, desktop.ini, __MACOSX), are as if they were not there.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lookalike {

// Paths relative to the folder, sorted. A folder that is passed over ends in a slash.
struct ImageListing {
  std::vector<std::string> images, passed_over;
};

// Error with the reason unless `folder` is one; `expected` describes it.
void check_folder(const std::string& folder, const std::string& expected);

// At any depth. Error with the reason when a folder can't be read, or when they are nested more
// than 16 deep or links lead to one more than 16 times (links to folders above or beside them would
// otherwise never end).
ImageListing list_images(const std::string& folder);

// One line: "FOLDER: passed over 2 files that are no images: a.heic (a HEIC picture), notes.txt", ten names at most; empty
// when there is none.
std::string describe_passed_over(const std::string& folder, const std::vector<std::string>& passed_over);

// Error that names what is there unless the listing has an image.
void require_images(const std::string& folder, const ImageListing& listing);

// Error when one of the files is missing or no image by its first bytes: a cheap look at many before long work on them.
void check_images(std::span<const std::string> files);

// The name in Unicode's composed normal form (NFC): systems differ in the form that they store, and both look the same.
// What is not UTF-8, or longer than any file's name, stays as it is.
std::string composed(std::string_view name);

// The images of one folder by name, with or without extension, in either Unicode normal form.
class ImageFolder {
 public:
  // Error when `path` is not a folder or can't be read, or when two names in it differ in their normal form alone.
  explicit ImageFolder(const std::string& path);
  // The file of that name; `where` (file and line) begins the Error when there is none, or when a name without
  // extension fits two.
  std::string find(const std::string& name, const std::string& where) const;
  // The file names, sorted.
  std::vector<std::string> files() const { return listing_.images; }
  // Files that are no images, and folders.
  const std::vector<std::string>& passed_over() const { return listing_.passed_over; }

 private:
  // ", the nearest is 'NAME'", of the first hundred that are asked for.
  std::string suggestion_for(const std::string& key) const;

  std::string path_;
  ImageListing listing_;
  std::map<std::string, std::vector<std::string>> by_name_;  // whole name or stem, composed -> file names
  std::map<std::string, std::string> passed_over_;           // likewise
  mutable int64_t suggestions_ = 0;
};

}  // namespace lookalike
