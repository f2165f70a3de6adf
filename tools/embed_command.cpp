// lookalike embed: images to a NumPy array of embeddings, and a file with a line for each row.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/data/classes.h"
#include "engine/eval/embed.h"
#include "engine/io/atomic_file.h"
#include "engine/io/npy.h"
#include "models/model.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

struct EmbedArguments {
  std::string model, out;
  std::vector<std::string> inputs;
  ComputeArguments compute;
};

void run_embed(const EmbedArguments& arguments) {
  const Compute compute = arguments.compute.parse();
  const Model model = load_model(arguments.model);
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

  // In pieces, so that memory does not grow with the number of images beyond the embeddings themselves.
  constexpr size_t kPiece = 4096;
  Tensor result;
  for (size_t begin = 0; begin < files.size(); begin += kPiece) {
    const size_t end = std::min(begin + kPiece, files.size());
    const std::span<const std::string> piece_files(files.data() + begin, end - begin);
    const ImageStore store(piece_files, model.preprocess);
    const Tensor piece = embed(*model.network, store, store.all(), compute);
    if (!result.defined()) result = Tensor(piece.shape().with_rows(std::ssize(files)));
    result.rows(static_cast<int64_t>(begin), static_cast<int64_t>(end)).copy_from(piece);
  }
  std::string names;
  for (const std::string& file : files) names += file + '\n';
  write_npy(arguments.out, result);
  write_file_atomically(arguments.out + ".txt", names);
  fmt::print("{}: {} embeddings of {} values; their files are listed in {}.txt\n", arguments.out, files.size(),
             result.shape()[1], arguments.out);
}

}  // namespace

void add_embed_command(CLI::App& app) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* command = app.add_subcommand("embed", "Write the embeddings of images as a NumPy array");
  command->add_option("model", arguments->model, "Checkpoint (RUN/model.safetensors)")->required();
  command->add_option("input", arguments->inputs, "Images, and folders with images at any depth")->required();
  command->add_option("--out", arguments->out, "FILE.npy to write; FILE.npy.txt gets the names")->required();
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_embed(*arguments); });
}

}  // namespace lookalike
