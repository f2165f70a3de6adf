// Times decoding of made-up pictures in memory, all cores on pictures of their own: ours (decode_image, every check included) or
// stb_image alone, which decoded JPEG before. What bench/peers/decode.py does with Pillow; bench/compare_decoding.py runs them all.
// Prints a line of JSON for each kind of picture; with --write it writes their files instead.
#include <atomic>
#include <chrono>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/io/atomic_file.h"
#include "tests/unit/picture_files.h"

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#include <stb/stb_image.h>

namespace lookalike {
namespace {

// Gradients with some noise, as a photo has them.
Image picture(int64_t height, int64_t width) {
  Random random(0, RandomUse::test);
  Image image{height, width, 3, std::vector<uint8_t>(height * width * 3)};
  uint8_t* to = image.pixels.data();
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      for (int64_t c = 0; c < 3; c++)
        *to++ = static_cast<uint8_t>(20 + (x * (c + 1) * 60) / width + (y * (3 - c) * 40) / height + random.below(12));
  return image;
}

std::string jpeg(int64_t height, int64_t width) {
  return libjpeg_file(picture(height, width), {.subsampled = true, .quality = 90});
}

std::map<std::string, std::string> all_files() {
  std::map<std::string, std::string> files{{"4000x3000.jpg", jpeg(3000, 4000)},
                                           {"640x480.jpg", jpeg(480, 640)},
                                           {"96x96.png", encode_png(picture(96, 96))},
                                           {"512x512.png", encode_png(picture(512, 512))}};
#ifdef LOOKALIKE_HAS_WEBP
  files["640x480.webp"] = webp_file(with_alpha(picture(480, 640)), 640, 480, 90);
#endif
  return files;
}

void decode(const std::string& bytes, bool stb) {
  if (!stb) {
    decode_image(bytes, 3, "decode_bench");
    return;
  }
  int width, height, channels;
  stbi_image_free(stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()),
                                        &width, &height, &channels, 3));
}

// Images a second of that many threads.
double time_decoding(const std::string& bytes, bool stb, int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  decode(bytes, stb);  // warm-up
  std::atomic<int64_t> count = 0;
  const auto start = Clock::now();
  const auto since = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; i++)
    workers.emplace_back([&] {
      while (since() < seconds) decode(bytes, stb), count++;
    });
  for (std::thread& worker : workers) worker.join();
  return static_cast<double>(count) / since();
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times decoding of made-up pictures in memory");
  std::string folder;
  bool stb = false;
  int threads = 1;
  double seconds = 1;
  app.add_option("--write", folder, "Write the pictures into this folder instead");
  app.add_flag("--stb", stb, "stb_image alone");
  app.add_option("--threads", threads, "Pictures at a time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "How long to measure each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    for (const auto& [name, bytes] : lookalike::all_files()) {
      if (!folder.empty()) {
        lookalike::write_file_atomically(std::filesystem::path(folder) / name, bytes);
        continue;
      }
      if (stb && name.ends_with(".webp")) continue;
      const double speed = lookalike::time_decoding(bytes, stb, threads, seconds);
      const nlohmann::json line{{"picture", name},
                                {"threads", threads},
                                {"images_per_s", speed},
                                {"mb_per_s", speed * static_cast<double>(bytes.size()) / 1e6}};
      fmt::print("{}\n", line.dump());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "decode_bench: {}\n", error.what());
    return 1;
  }
}
