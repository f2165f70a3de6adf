// make_pairs DIR COUNT SIZE: a pairs folder of made-up pictures. The right image shows the left one's two discs in
// other shades, with noise: learnable, and different for each pair.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "engine/core/random.h"
#include "engine/data/image.h"
#include "engine/data/pairs.h"
#include "engine/io/atomic_file.h"

int main(int argc, char** argv) {
  using namespace lookalike;
  namespace fs = std::filesystem;
  if (argc != 4) return 1;
  const fs::path out = argv[1];
  const int64_t count = std::atoll(argv[2]), size = std::atoll(argv[3]);
  for (const char* side : {"left", "right"}) fs::create_directories(out / side);
  std::vector<Pair> pairs;
  for (int64_t i = 0; i < count; i++) {
    Random shape(1, RandomUse::test, i);
    struct Disc {
      float x, y, radius;
      int color[3];
    } discs[2];
    for (Disc& d : discs) {
      d = {shape.uniform(0.2f, 0.8f), shape.uniform(0.2f, 0.8f), shape.uniform(0.1f, 0.35f), {}};
      for (int& c : d.color) c = static_cast<int>(shape.below(200));
    }
    const std::string name = fmt::format("pair{:03}", i);
    for (const char* side : {"left", "right"}) {
      const bool right = std::string(side) == "right";
      Random noise(1, RandomUse::test, i, right + 1);
      Image image{size, size, 3, std::vector<uint8_t>(size * size * 3, 255)};
      for (int64_t p = 0; p < size * size; p++) {
        const float x = static_cast<float>(p % size) / static_cast<float>(size),
                    y = static_cast<float>(p / size) / static_cast<float>(size);
        for (const Disc& d : discs) {
          if ((x - d.x) * (x - d.x) + (y - d.y) * (y - d.y) > d.radius * d.radius) continue;
          for (int c = 0; c < 3; c++)
            image.pixels[p * 3 + c] = static_cast<uint8_t>(d.color[c] + (right ? 20 : 0) + noise.below(20));
        }
      }
      write_file_atomically(out / side / (name + ".png"), encode_png(image));
    }
    pairs.push_back({name, name});
  }
  write_pairs(out / "pairs.csv", pairs);
}
