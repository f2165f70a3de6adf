// lookalike embed: images to a NumPy array of embeddings, and a file with a line for each row.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/npy.h"
#include "models/center.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

struct EmbedArguments {
  std::string model, out, center, side;
  std::vector<std::string> inputs;
  bool skip_corrupt = false, json = false;
  ComputeArguments compute;
};

void run_embed(const EmbedArguments& arguments) {
  std::vector<NamedInput> inputs{{"MODEL", find_weights(arguments.model).value_or("")},
                                 {"--center", arguments.center}};
  for (const std::string& input : arguments.inputs) inputs.push_back({"INPUT", input});
  check_outputs(
      {{"--out", arguments.out, FileKind::npy}, {"--out", arguments.out + ".txt", FileKind::names}},
      inputs);
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  std::vector<std::string> skipped;
  if (!arguments.center.empty())
    use_center(model, arguments.model, arguments.center, compute, arguments.skip_corrupt ? &skipped : nullptr);
  report_skipped(skipped);
  prepare_model(model, compute);
  const std::vector<std::string> files = image_inputs(arguments.inputs);
  EmbedTimes times;
  const PairSide side = arguments.side.empty()     ? PairSide::any
                        : arguments.side == "left" ? PairSide::left
                                                   : PairSide::right;
  const IndexedImages images =
      embed_inputs(model, files, compute, arguments.skip_corrupt, side, &times);
  std::string names;
  for (const std::string& file : images.names) {
    for (const char c : file)
      names += c == '\n' ? "\\n" : std::string(1, c);  // a line a row, always
    names += '\n';
  }
  // Open while the other is written, so that no second process mixes its files with these, and on
  // the disk, so that what is left to fail is a rename; then neither stays.
  AtomicFile list(arguments.out + ".txt");
  list.write(names);
  list.flush();
  write_npy(arguments.out, images.embeddings);
  try {
    list.commit();
  } catch (...) {
    for (const std::string& file : {arguments.out, arguments.out + ".txt"})
      std::remove(file.c_str());
    throw;
  }
  if (arguments.json) {
    nlohmann::ordered_json json = result_json("embed");
    json.update({{"embeddings", arguments.out},
                 {"names", arguments.out + ".txt"},
                 {"images", images.count()},
                 {"width", images.embeddings.shape()[1]},
                 {"seconds", times.total}});
    return print_json(json);
  }
  print_line("{}: {} embeddings of {} values; their files are listed in {}.txt", arguments.out,
             images.count(), images.embeddings.shape()[1], arguments.out);
  print_line(
      "{:.2f} s, {:.0f} images/s: decoding and resizing {:.2f} s, the network {:.2f} s, {:.2f} s "
      "of both at once",
      times.total, static_cast<double>(images.count()) / times.total, times.decoding, times.network,
      std::max(0., times.decoding + times.network - times.total));
}

}  // namespace

void add_embed_command(CLI::App& app) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* command = app.add_subcommand("embed", "Write the embeddings of images as a NumPy array");
  command->footer("lookalike embed runs/mine/model.safetensors pictures/ --out embeddings.npy");
  command->add_option("MODEL", arguments->model, "Checkpoint (RUN/model.safetensors), or the name of published weights")
      ->required();
  command->add_option("INPUT", arguments->inputs, "Images, and folders with images at any depth")->required();
  output_name(
      command->add_option("--out", arguments->out, "File to write; FILE.npy.txt gets the names"))
      ->type_name("FILE.npy")
      ->required();
  one_of(command->add_option("--side", arguments->side,
                             "Which images of pairs these are, for a model whitened by pairs (default: both)"),
         {"left", "right"});
  add_json_flag(*command, arguments->json);
  add_skip_option(*command, arguments->skip_corrupt);
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_embed(*arguments); });
}

}  // namespace lookalike
