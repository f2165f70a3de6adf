// make_pairs DIR COUNT SIZE: a pairs folder of made-up pictures. The right image shows the left one's two discs in
// other shades, with noise: learnable, and different for each pair.
// make_pairs --course DIR COUNT: the same in the form of the Totally-Looks-Like course data: train.csv, train/left/, train/right/, and of a
// fifth of the pairs test_candidates.csv, test/left/, test/right/; names of three letters, JPEG pictures of 200 x 245.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include "engine/core/random.h"
#include "engine/data/image.h"
#include "engine/data/pairs.h"
#include "engine/io/atomic_file.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

// Picture `i` of one side.
Image draw(int64_t i, bool right, int64_t height, int64_t width) {
  Random shape(1, RandomUse::test, i), noise(1, RandomUse::test, i, right + 1);
  struct Disc {
    float x, y, radius;
    int color[3];
  } discs[2];
  for (Disc& d : discs) {
    d = {shape.uniform(0.2f, 0.8f), shape.uniform(0.2f, 0.8f), shape.uniform(0.1f, 0.35f), {}};
    for (int& c : d.color) c = static_cast<int>(shape.below(200));
  }
  Image image{height, width, 3, std::vector<uint8_t>(height * width * 3, 255)};
  for (int64_t p = 0; p < height * width; p++) {
    const float x = static_cast<float>(p % width) / static_cast<float>(width),
                y = static_cast<float>(p / width) / static_cast<float>(height);
    for (const Disc& d : discs) {
      if ((x - d.x) * (x - d.x) + (y - d.y) * (y - d.y) > d.radius * d.radius) continue;
      for (int c = 0; c < 3; c++)
        image.pixels[p * 3 + c] = static_cast<uint8_t>(d.color[c] + (right ? 20 : 0) + noise.below(20));
    }
  }
  return image;
}

void make_pairs(const fs::path& out, int64_t count, int64_t size) {
  std::vector<Pair> pairs;
  for (int64_t i = 0; i < count; i++) {
    const std::string name = fmt::format("pair{:03}", i);
    for (const char* side : {"left", "right"}) {
      fs::create_directories(out / side);
      write_file_atomically(out / side / (name + ".png"), encode_png(draw(i, side[0] == 'r', size, size)));
    }
    pairs.push_back({name, name});
  }
  write_pairs(out / "pairs.csv", pairs);
}

std::string three_letters(int64_t i) {
  std::string name;
  for (int64_t base = 676; base > 0; base /= 26) name += static_cast<char>('a' + i / base % 26);
  return name;
}

void make_course_data(const fs::path& out, int64_t count) {
  std::vector<Pair> pairs[2];
  for (int64_t i = 0; i < count; i++) {
    const bool test = i % 5 == 4;
    const Pair pair{three_letters(2 * i), three_letters(17575 - 2 * i)};
    for (const char* side : {"left", "right"}) {
      const bool right = side[0] == 'r';
      const fs::path folder = out / (test ? "test" : "train") / side;
      fs::create_directories(folder);
      const Image image = draw(i, right, 245, 200);
      const fs::path file = folder / ((right ? pair.right : pair.left) + ".jpg");
      stbi_write_jpg(file.c_str(), 200, 245, 3, image.pixels.data(), 90);
    }
    pairs[test].push_back(pair);
  }
  write_pairs(out / "train.csv", pairs[0]);
  write_candidates(out / "test_candidates.csv", make_candidates(pairs[1], 20, 0));
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  if (std::string(argv[1]) == "--course")
    lookalike::make_course_data(argv[2], std::atoll(argv[3]));
  else
    lookalike::make_pairs(argv[1], std::atoll(argv[2]), std::atoll(argv[3]));
}
