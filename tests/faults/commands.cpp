#include "tests/faults/commands.h"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include "engine/core/random.h"
#include "engine/data/image.h"
#include "engine/io/safetensors.h"
#include "engine/train/checkpoint.h"
#include "models/model.h"
#include "tests/unit/picture_files.h"

namespace lookalike::faults {

namespace fs = std::filesystem;
using std::string_literals::operator""s;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

namespace {

Image picture(int64_t seed, int64_t side) {
  Random random(1, RandomUse::test, seed);
  Image image{side, side, 3, std::vector<uint8_t>(side * side * 3)};
  const uint32_t r = random.below(200), g = random.below(200), b = random.below(200),
                 step = 1 + random.below(5);
  for (int64_t i = 0; i < side * side; i++) {
    const uint32_t shade = static_cast<uint32_t>(i % side * step);
    for (const auto& [c, value] : {std::pair(0, r), {1, g}, {2, b}})
      image.pixels[3 * i + c] = static_cast<uint8_t>((value + shade) % 256);
  }
  return image;
}

// In one format after the other: its extension, and the bytes.
std::pair<std::string, std::string> picture_file(int64_t seed) {
  constexpr int kSide = 20;
  const Image image = picture(seed, kSide);
  switch (seed % 6) {
    case 0:
      return {".jpg", libjpeg_file(image)};
    case 1: {
      std::vector<uint8_t> indices;
      for (size_t i = 0; i < image.pixels.size(); i += 3) indices.push_back(image.pixels[i]);
      return {".gif", gif_file(indices, kSide, kSide)};
    }
    case 2: {
      std::string rows;
      for (int y = kSide; y-- > 0;)
        rows.append(reinterpret_cast<const char*>(&image.pixels[y * kSide * 3]), kSide * 3);
      return {".bmp", bmp_file(40, kSide, kSide, 24, 0, "", rows)};
    }
#ifdef LOOKALIKE_HAS_WEBP
    case 3:  // not lossless: libwebp 1.2.4 itself crashes on one allocation of that
      return {".webp", webp_file(with_alpha(image), kSide, kSide, 90)};
#endif
    case 4:
      return {".jpg", libjpeg_file(image, {.progressive = true, .subsampled = true})};
    default:
      return {".png", encode_png(image)};
  }
}

// In the order of Keras's weights of SqueezeNet, which `weights import` reads.
TensorFile keras_squeezenet() {
  const Model model =
      build_model({{"name", "squeezenet"}}, {.height = 227, .width = 227}, 0, "squeezenet");
  TensorFile file;
  for (const auto& [name, w] : tensors_of(state_of(*model.network))) {
    std::string keras = name.substr(0, name.rfind('.'));
    std::ranges::replace(keras, '.', '/');
    if (w.shape().rank() == 1) {
      file.tensors[keras + "_b:0"] = w;
      continue;
    }
    const int64_t k = w.shape()[0], rest = w.size() / k;
    Tensor turned({w.shape()[1], w.shape()[2], w.shape()[3], k});
    for (int64_t i = 0; i < w.size(); i++)
      turned.data<float>()[i % rest * k + i / rest] = w.data<float>()[i];
    file.tensors[keras + "_W:0"] = turned;
  }
  return file;
}

constexpr const char* kTiny = R"([model]
name = "siamese_cnn"
filters = [4, 4]
kernels = [3, 3]
embedding = 4
[input]
height = 12
width = 12
[train]
batch_pairs = 4
epochs = 2
[evaluate]
candidates = 3
lists = 2
[split]
ratios = [60, 40, 0]
)";

// Runs the program itself, without faults.
void prepare(const fs::path& program, const fs::path& root, const std::string& arguments) {
  const std::string line =
      fmt::format("cd '{}' && OMP_NUM_THREADS=2 LOOKALIKE_WEIGHTS=none '{}' {} >said.txt 2>&1",
                  root.string(), program.string(), arguments);
  if (std::system(line.c_str()) == 0) return;
  fmt::print("lookalike {} does not work: {}\n", arguments, contents(root / "said.txt"));
  std::exit(1);
}

}  // namespace

void make_inputs(const fs::path& root, const fs::path& program) {
  const auto prepared = [&](const std::string& arguments) { prepare(program, root, arguments); };
  fs::create_directories(root / "none");
  const fs::path in = root / "in";
  std::string pairs = "left,right\n", candidates = "left,c0,c1,c2\n", truth = "left,right\n";
  for (int i = 0; i < 8; i++) {
    const std::string name = fmt::format("p{}", i);
    for (const char* side : {"left", "right"}) {
      const auto [extension, bytes] = picture_file(2 * i + (side[0] == 'r'));
      put(in / "pairs" / side / (name + extension), bytes);
    }
    pairs += name + "," + name + "\n";
    if (i < 3) candidates += name + ",p0,p1,p2\n", truth += name + "," + name + "\n";
  }
  put(in / "pairs/pairs.csv", pairs);
  put(in / "pairs/notes.txt", "not a picture");
  put(in / "candidates.csv", candidates);
  put(in / "truth.csv", truth);
  fs::copy(in / "pairs", in / "damaged", fs::copy_options::recursive);
  put(in / "damaged/left/p2.jpg", contents(in / "pairs/left/p0.jpg").substr(0, 300));
  fs::remove(in / "damaged/right/p3.gif");
  put(in / "damaged/right/p3.gif", "not a picture");
  put(in / "damaged/right/p7",
      contents(in / "damaged/right/p0.gif"));  // known as a picture by its content alone
  for (int i = 0; i < 24; i++) {
    const auto [extension, bytes] = picture_file(100 + i);
    put(in / "classes" / fmt::format("{}/c{}/{}{}", i < 12 ? "a" : "b", i / 4, i % 4, extension),
        bytes);
  }
  for (const std::string part : {"train", "t10k"}) {
    std::string images = "\0\0\10\3"s + number_of(12, 4, false) + number_of(28, 4, false) +
                         number_of(28, 4, false),
                labels = "\0\0\10\1"s + number_of(12, 4, false);
    for (int i = 0; i < 12; i++) {
      labels += static_cast<char>(i % 3);
      for (int p = 0; p < 28 * 28; p++) images += static_cast<char>(p * (i + 1) % 251);
    }
    put(in / "idx" / (part + "-images-idx3-ubyte"), images);
    put(in / "idx" / (part + "-labels-idx1-ubyte"), labels);
  }
  if (std::system(fmt::format("gzip -n '{}'/idx/train-images-idx3-ubyte", in.string()).c_str()) !=
      0)
    std::exit(1);
  for (const char* name : {"1F600", "1F601", "0023-20E3"}) {
    put(in / "emoji/png" / (std::string(name) + ".png"), encode_png(picture(name[4], 64)));
    put(in / "emoji/svg" / (std::string(name) + ".svg"),
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><path d="M0 0h32v64H0z"/></svg>)");
  }
  put(in / "tiny.toml", std::string(kTiny) + "[loss]\nname = \"contrastive\"\n");
  put(in / "frozen.toml", std::string(kTiny) + "[loss]\nname = \"triplet\"\n");
  put(in / "classes.toml", std::string(kTiny) + "[loss]\nname = \"nt_xent\"\n");
  write_safetensors(in / "squeezenet.safetensors", keras_squeezenet());
  const fs::path golden = fs::path(LOOKALIKE_SOURCE_DIR) / "tests/golden";
  for (const char* name : {"zip.pth", "legacy.pth", "deflated.pth", "keras.h5", "tensors.onnx"})
    fs::copy_file(golden / "weights" / name, in / name);
  prepared("train in/tiny.toml --data in/pairs --out in/run --epochs 1");
  prepared(
      "weights center in/run/model.safetensors in/pairs/pairs.csv --out in/centred.safetensors");
  prepared("index build in/run/model.safetensors in/pairs/left --out in/pictures.index");
  // What an output replaces: of its kind, and not the same.
  const fs::path old = root / "old";
  for (const char* folder :
       {"split", "candidates", "evaluate", "scores", "embed", "import", "changed",
        "index", "page"})
    fs::create_directories(old / folder);
  prepared("data split in/pairs/pairs.csv --seed 7 --out old/split");
  prepared("data candidates in/pairs/pairs.csv --seed 7 --count 3 --out old/candidates/c.csv");
  prepared(
      "evaluate in/run/model.safetensors --data in/pairs --include-seen --count 4 --json "
      "old/evaluate/e.json");
  prepared(
      "evaluate in/run/model.safetensors --data in/classes --part train --runs 2 --scatter "
      "old/evaluate/s.svg");
  prepared(
      "evaluate in/centred.safetensors --data in/pairs --include-seen --candidates "
      "in/candidates.csv "
      "--truth in/truth.csv --scores old/scores/s.csv --json old/scores/e.json");
  prepared("embed in/run/model.safetensors in/classes/a --out old/embed/e.npy");
  fs::copy_file(in / "pictures.index", old / "index/a.index");
  prepared("search in/pictures.index in/pairs/right/p0.gif --html old/page/p.html");
  fs::copy_file(in / "run/model.safetensors", old / "import/m.safetensors");
  fs::copy_file(in / "run/model.safetensors", old / "changed/m.safetensors");
  fs::copy(in / "run", old / "resume", fs::copy_options::recursive);
  fs::copy(in / "classes", old / "classes", fs::copy_options::recursive);
  fs::create_directories(old / "cached");
  fs::copy(in / "pairs", old / "cached/data", fs::copy_options::recursive);
  fs::create_directories(old / "empty");
}

std::vector<Command> list_commands() {
  const std::string model = "../../in/run/model.safetensors", pairs = "../../in/pairs",
                    classes = "../../in/classes";
  const auto in = [](const char* name) { return std::string("../../in/") + name; };
  std::vector<Command> commands = {
      {"recipes", {"recipes"}},
      {"recipes NAME", {"recipes", "emoji-best"}},
      {"--help", {"evaluate", "--help"}},
      {"--version", {"--version"}},
      {"data split", {"data", "split", pairs + "/pairs.csv", "--out", "out"}, "split", false, true},
      {"data split, classes",
       {"data", "split", "out", "--by", "images", "--ratios", "1,1,0"},
       "classes",
       false,
       true},
      {"data candidates",
       {"data", "candidates", pairs + "/pairs.csv", "--count", "3", "--out", "out/c.csv"},
       "candidates"},
      {"data check", {"data", "check", pairs}},
      {"data check, classes", {"data", "check", classes}},
      {"train", {"train", in("tiny.toml"), "--data", pairs, "--out", "out/run"}, "empty", true},
      {"train --resume",
       {"train", in("tiny.toml"), "--data", pairs, "--out", "out", "--resume"},
       "resume",
       true},
      {"train, classes",
       {"train", in("classes.toml"), "--data", classes, "--out", "out/run", "--skip-corrupt",
        "--epochs", "1"},
       "empty",
       true},
      {"train, IDX",
       {"train", "--data", in("idx"), "--out", "out/run", "--epochs", "1", "--set",
        "model.name=siamese_cnn", "--set", "model.filters=[2,2]", "--set", "model.embedding=2",
        "--set", "evaluate.candidates=2", "--set", "train.batch_pairs=4"},
       "empty",
       true},
      {"train --freeze",
       {"train", in("frozen.toml"), "--data", "out/data", "--out", "out/run", "--start", model,
        "--freeze", "conv2", "--cache-features"},
       "cached",
       true},
      {"evaluate",
       {"evaluate", model, "--data", pairs, "--include-seen", "--count", "3", "--json",
        "out/e.json"},
       "evaluate"},
      {"evaluate --skip-corrupt",
       {"evaluate", model, "--data", in("damaged"), "--include-seen", "--count", "3",
        "--skip-corrupt", "--json", "out/e.json"},
       "evaluate"},
      {"evaluate --candidates",
       {"evaluate", model, "--data", pairs, "--include-seen", "--candidates", in("candidates.csv"),
        "--truth", in("truth.csv"), "--scores", "out/s.csv", "--json", "out/e.json", "--center",
        pairs + "/pairs.csv"},
       "scores"},
      {"evaluate, classes",
       {"evaluate", model, "--data", classes, "--part", "train", "--runs", "2", "--ways", "2",
        "--json", "out/e.json", "--scatter", "out/s.svg"},
       "evaluate"},
      {"evaluate, IDX",
       {"evaluate", model, "--data", in("idx"), "--json", "out/e.json"},
       "evaluate"},
      {"embed",
       {"embed", model, classes, pairs + "/left", "--out", "out/e.npy"},
       "embed",
       false,
       true},
      {"embed --skip-corrupt",
       {"embed", model, in("damaged/left"), in("damaged/right"), "--skip-corrupt", "--out",
        "out/e.npy"},
       "embed",
       false,
       true},
      {"compare", {"compare", model, pairs + "/left/p0.jpg", pairs + "/right/p0.gif"}},
      {"calibrate",
       {"calibrate", in("centred.safetensors"), "--data", classes, "--false-match-rate", "0.5",
        "--out", "out/m.safetensors"},
       "changed"},
      {"index build",
       {"index", "build", model, classes, "--storage", "f16", "--out", "out/a.index"},
       "index"},
      {"index add", {"index", "add", "out/a.index", pairs + "/right"}, "index"},
      {"index remove", {"index", "remove", "out/a.index", "in/pairs/left/p2.jpg"}, "index"},
      {"index info", {"index", "info", in("pictures.index")}},
      {"search",
       {"search", in("pictures.index"), pairs + "/right", "--html", "out/p.html", "--json"},
       "page"},
      {"search --orientations",
       {"search", in("pictures.index"), pairs + "/right/p0.gif", "--orientations"}},
      {"duplicates",
       {"duplicates", classes, "--model", model, "--above", "0.5", "--html", "out/p.html"},
       "page"},
      {"weights inspect", {"weights", "inspect", model}},
      {"weights inspect .pth", {"weights", "inspect", in("zip.pth")}},
      {"weights inspect .pth, packed", {"weights", "inspect", in("deflated.pth")}},
      {"weights inspect .pth, legacy", {"weights", "inspect", in("legacy.pth")}},
#ifdef LOOKALIKE_HAS_HDF5
      {"weights inspect .h5", {"weights", "inspect", in("keras.h5")}},
#endif
      {"weights inspect .onnx", {"weights", "inspect", in("tensors.onnx")}},
      {"weights import",
       {"weights", "import", in("squeezenet.safetensors"), "--model", "squeezenet",
        "--allow-unknown", "--out", "out/m.safetensors"},
       "import"},
      {"weights center",
       {"weights", "center", model, pairs + "/pairs.csv", "--out", "out/m.safetensors"},
       "changed"},
      {"weights whiten",
       {"weights", "whiten", model, in("damaged/pairs.csv"), "--skip-corrupt", "--out",
        "out/m.safetensors"},
       "changed"},
  };
  if (fs::exists("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))
    for (const char* size : {"16", "80"})
      commands.push_back(
          {fmt::format("data emoji --size {}", size),
           {"data", "emoji", "--size", size, "--gemojione", in("emoji"), "--out", "out/emoji"},
           "empty"});
  for (Command& command : commands) {
    if (!command.training) continue;
    command.go_on = command.arguments;
    if (command.go_on.back() != "--resume") command.go_on.push_back("--resume");
  }
  return commands;
}

}  // namespace lookalike::faults
