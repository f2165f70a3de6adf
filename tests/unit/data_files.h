// Files that the data tests make in a folder of their own, and the bytes of image files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/data/image.h"
#include "engine/data/pairs.h"
#include "tests/temporary_folder.h"

namespace lookalike {

class DataFolder {
 public:
  std::string path() const { return folder_.path(); }
  std::string path(const std::string& name) const { return folder_ / name; }
  // Writes a file, making the folders above it, and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    write_bytes(folder_ / name, content);
    return path(name);
  }

 private:
  TemporaryFolder folder_;
};

// Pairs l0,r0  l1,r1 ... without files.
std::vector<Pair> numbered_pairs(int count);

// A picture with a smooth pattern that depends on `seed`.
Image test_image(int64_t height, int64_t width, int64_t channels, int seed = 0);

// A PNG file of one IDAT chunk. `rows`: the filtered scan lines as PNG stores them; `palette`, `transparency`: the
// content of PLTE and tRNS, left out when empty.
std::string png_file(int width, int height, int bit_depth, int color_type, std::string_view rows,
                     std::string_view palette = {}, std::string_view transparency = {});

// A chunk put behind a PNG file's header.
std::string with_png_chunk(const std::string& png, const std::string& type, const std::string& data);

// An 8 x 8 baseline JPEG of one flat colour, a level from 1 to 64 or 192 to 255 for each of its 1, 3 or 4
// channels; an Adobe marker with its transform when `adobe` is not negative.
std::string jpeg_file(const std::vector<int>& levels, int adobe = -1);

// A folder in the pairs layout with `count` pairs a0..., b0... of `size` x `size` pixels.
void write_pairs_folder(const DataFolder& folder, int count, int64_t size = 8);

}  // namespace lookalike
