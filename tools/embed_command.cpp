// lookalike embed: images to a NumPy array of embeddings, and a file with a line for each row.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/data/image_files.h"
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
  std::string model, out, center, side;
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
    if (std::error_code none; !fs::is_directory(input, none)) {
      files.push_back(input);
      continue;
    }
    const ImageListing listing = list_images(input);
    require_images(input, listing);
    if (!listing.passed_over.empty()) fmt::print(stderr, "{}\n", describe_passed_over(input, listing.passed_over));
    for (const std::string& path : listing.images) files.push_back(fs::path(input) / path);
  }

  EmbedTimes times;
  const PairSide side = arguments.side.empty()     ? PairSide::any
                        : arguments.side == "left" ? PairSide::left
                                                   : PairSide::right;
  const Tensor result =
      comparable_rows(*model.network, embed_files(*model.network, files, model.preprocess, compute, &times, side));
  check_finite(result, files);
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
  command->add_option("model", arguments->model, "Checkpoint (RUN/model.safetensors)")->required();
  command->add_option("input", arguments->inputs, "Images, and folders with images at any depth")->required();
  command->add_option("--out", arguments->out, "FILE.npy to write; FILE.npy.txt gets the names")->required();
  command
      ->add_option("--side", arguments->side,
                   "left or right: which images of pairs these are, for a model whitened by pairs (default: both)")
      ->check(CLI::IsMember({"left", "right"}));
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_embed(*arguments); });
}

}  // namespace lookalike
