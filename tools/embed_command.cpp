// lookalike embed: images to a NumPy array of embeddings, and a file with a line for each row.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/data/classes.h"
#include "engine/eval/embed.h"
#include "engine/io/atomic_file.h"
#include "engine/io/npy.h"
#include "models/center.h"
#include "models/model.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

struct EmbedArguments {
  std::string model, out, center;
  std::vector<std::string> inputs;
  ComputeArguments compute;
};

void run_embed(const EmbedArguments& arguments) {
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  if (!arguments.center.empty()) use_center(model, arguments.model, arguments.center, compute);
  model.network->fold();
  prepare_network(*model.network, compute);
  std::vector<std::string> files;
  for (const std::string& input : arguments.inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    const auto paths = image_paths(input);
    check(!paths.empty(), "{}: no JPEG or PNG file in it", input);
    for (const std::string& path : paths) files.push_back(fs::path(input) / path);
  }

  EmbedTimes times;
  const Tensor result = embed_files(*model.network, files, model.preprocess, compute, &times);
  std::string names;
  for (const std::string& file : files) names += file + '\n';
  write_npy(arguments.out, result);
  write_file_atomically(arguments.out + ".txt", names);
  fmt::print("{}: {} embeddings of {} values; their files are listed in {}.txt\n", arguments.out, files.size(),
             result.shape()[1], arguments.out);
  fmt::print(
      "{:.2f} s, {:.0f} images/s: decoding and resizing {:.2f} s, the network {:.2f} s, {:.2f} s of both at once\n",
      times.total, static_cast<double>(files.size()) / times.total, times.decoding, times.network,
      std::max(0., times.decoding + times.network - times.total));
}

}  // namespace

void add_embed_command(CLI::App& app) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* command = app.add_subcommand("embed", "Write the embeddings of images as a NumPy array");
  command->footer("lookalike embed runs/mine/model.safetensors pictures/ --out embeddings.npy");
  command->add_option("MODEL", arguments->model, "Checkpoint (RUN/model.safetensors)")->required();
  command->add_option("INPUT", arguments->inputs, "Images, and folders with images at any depth")->required();
  command->add_option("--out", arguments->out, "File to write; FILE.npy.txt gets the names")
      ->type_name("FILE.npy")
      ->required();
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_embed(*arguments); });
}

}  // namespace lookalike
