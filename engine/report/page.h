// Pages that people look at and hand on: one HTML file without anything beside it, light or dark as
// the reader has it, that can be printed. Nothing from a file or its name is ever taken for markup.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lookalike {

// What every page begins with.
constexpr std::string_view kPageBeginning = "<!doctype html>\n<!-- lookalike -->\n";

// Text as HTML shows it, in elements and in quoted attributes; control characters as printable().
std::string escaped(std::string_view text);

// The whole page; `body` is HTML.
std::string page(const std::string& title, const std::string& body);

// An <img> of the picture in a file, at most `side` pixels in each direction, its data in it. A
// picture that can't be read is a box that says so, and the reason is added to `skipped`.
std::string thumbnail(const std::string& path, int64_t side, std::vector<std::string>& skipped);

// Rows of pictures: the first of each beside those that belong to it.
struct GalleryTile {
  std::string path, caption;
};
struct GalleryRow {
  GalleryTile first;
  std::vector<GalleryTile> others;
};
constexpr int64_t kMostTiles = 2000;  // of a page; what is left out is said
std::string gallery_page(const std::string& title, const std::string& about,
                         const std::vector<GalleryRow>& rows, std::vector<std::string>& skipped);

}  // namespace lookalike
