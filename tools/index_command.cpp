// lookalike index build MODEL INPUT...: a file of embeddings that can be searched.
// lookalike index add INDEX INPUT...: more pictures. index remove INDEX NAME...: fewer.
// lookalike index info INDEX: what it holds.
#include <algorithm>
#include <map>
#include <memory>

#include "engine/search/index_file.h"
#include "models/center.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

struct IndexArguments {
  std::string model, index, center, storage = "f32";
  std::vector<std::string> inputs, names;
  bool skip_corrupt = false, json = false;
  ComputeArguments compute;
};

std::vector<NamedInput> named(const std::vector<std::string>& inputs) {
  std::vector<NamedInput> result;
  for (const std::string& input : inputs) result.push_back({"INPUT", input});
  return result;
}

// Names that are the same picture, by its content.
void say_same_pictures(const std::vector<std::string>& names, const std::vector<uint64_t>& hashes,
                       int64_t first_new) {
  std::map<uint64_t, int64_t> seen;
  int64_t same = 0;
  std::string examples;
  for (int64_t i = 0; i < std::ssize(names); i++) {
    const auto [at, fresh] = seen.emplace(hashes[i], i);
    if (fresh || i < first_new) continue;
    if (same++ < 3)
      examples += fmt::format("{}{} is {}", same > 1 ? "; " : "", names[i], names[at->second]);
  }
  if (same > 0)
    say("{} of the new pictures {} there already under another name: {}{}", same,
        same == 1 ? "is" : "are", examples, same > 3 ? "; ..." : "");
}

// What build, add and remove say of the index that they leave.
nlohmann::ordered_json json_of_change(const IndexArguments& arguments, int64_t added,
                                      int64_t removed, int64_t images) {
  nlohmann::ordered_json json = result_json("index");
  json.update(
      {{"index", arguments.index}, {"added", added}, {"removed", removed}, {"images", images}});
  return json;
}

void build(const IndexArguments& arguments) {
  std::vector<NamedInput> inputs = named(arguments.inputs);
  inputs.push_back({"MODEL", find_weights(arguments.model).value_or("")});
  inputs.push_back({"--center", arguments.center});
  check_outputs({{"--out", arguments.index, FileKind::index}}, inputs);
  const DType storage = parse_storage(arguments.storage);
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  check(!model.network->matcher,
        "{}: judges pairs by a matcher; an index needs embeddings that are compared by cosine or "
        "distance",
        arguments.model);
  const std::vector<std::string> files = image_inputs(arguments.inputs);
  check_names_once(files);
  if (!arguments.center.empty()) {
    use_center(model, arguments.model, arguments.center, compute);
    model.calibration.reset();  // of other embeddings
  }
  IndexWriter writer(arguments.index);
  const Checkpoint checkpoint = checkpoint_of(model);
  prepare_model(model, compute);
  EmbedTimes times;
  const IndexedImages images =
      embed_inputs(model, files, compute, arguments.skip_corrupt, PairSide::any, &times);
  say_same_pictures(images.names, images.hashes, 0);
  writer.build(checkpoint, images, storage, model.network->similarity);
  if (arguments.json)
    return print_json(json_of_change(arguments, images.count(), 0, images.count()));
  print_line("{}: {} pictures, {} values each; {:.2f} s, {:.0f} images/s", arguments.index,
             images.count(), images.embeddings.shape()[1], times.total,
             static_cast<double>(images.count()) / times.total);
}

void add(const IndexArguments& arguments) {
  check_outputs({{"INDEX", arguments.index, FileKind::index}}, named(arguments.inputs));
  const Compute compute = arguments.compute.parse();
  IndexWriter writer(arguments.index);
  const IndexFile old(arguments.index);
  const std::vector<std::string> files = image_inputs(arguments.inputs);
  check_names_once(files, &old);
  Model model = model_of(old.model(), arguments.index);
  prepare_model(model, compute);
  const IndexedImages more = embed_inputs(model, files, compute, arguments.skip_corrupt);
  std::vector<std::string> names = old.names();
  names.insert(names.end(), more.names.begin(), more.names.end());
  std::vector<uint64_t> hashes = old.hashes();
  hashes.insert(hashes.end(), more.hashes.begin(), more.hashes.end());
  say_same_pictures(names, hashes, old.count());
  writer.add(old, more);
  if (arguments.json)
    return print_json(json_of_change(arguments, more.count(), 0, std::ssize(names)));
  print_line("{}: {} pictures added, {} in it", arguments.index, more.count(), names.size());
}

void remove(const IndexArguments& arguments) {
  check_outputs({{"INDEX", arguments.index, FileKind::index}}, {});
  IndexWriter writer(arguments.index);
  const IndexFile old(arguments.index);
  const int64_t left = writer.remove(old, arguments.names);
  if (arguments.json) return print_json(json_of_change(arguments, 0, old.count() - left, left));
  print_line("{}: {} pictures removed, {} in it", arguments.index, old.count() - left, left);
}

void info(const IndexArguments& arguments) {
  const IndexFile index(arguments.index);
  const Model model = model_of(index.model(), arguments.index);
  const Similarity similarity = model.network->similarity;
  std::vector<uint64_t> pictures = index.hashes();
  std::ranges::sort(pictures);
  pictures.erase(std::unique(pictures.begin(), pictures.end()), pictures.end());
  if (arguments.json) {
    nlohmann::ordered_json json = result_json("index info");
    json.update({{"index", index.path()},
                 {"images", index.count()},
                 {"different_pictures", pictures.size()},
                 {"width", index.width()},
                 {"storage", name_of(index.storage())},
                 {"bytes", index.bytes()},
                 {"similarity", name_of(similarity)},
                 {"model", model.config}});
    json["f16_recall"] = nullptr;
    if (const auto& recall = index.recall())
      json["f16_recall"] = {
          {"k", recall->k}, {"queries", recall->queries}, {"recall", recall->recall}};
    json["calibration"] = nullptr;
    if (model.calibration) json["calibration"] = to_json(*model.calibration);
    return print_json(json);
  }
  print_line("{}: {} pictures, {} of them different", index.path(), index.count(), pictures.size());
  print_line("model       {}, {} x {} pixels, compared by {}",
             model.config.value("name", std::string()), model.preprocess.height,
             model.preprocess.width, name_of(similarity));
  print_line("embeddings  {} values, {}, {:.1f} MB in all", index.width(), name_of(index.storage()),
             static_cast<double>(index.bytes()) / 1e6);
  if (const auto& recall = index.recall())
    print_line("f16         kept {:.2f} % of the {} nearest of {} pictures when it was built",
               100 * recall->recall, recall->k, recall->queries);
  if (const auto& c = model.calibration)
    print_line("threshold   {:.4f} [{:.4f}, {:.4f}], at which {:g} % of other pairs match",
               c->threshold.score, c->low, c->high, 100 * c->threshold.false_match_rate);
  else
    print_line("threshold   none: `lookalike calibrate` stores one in the model");
}

}  // namespace

void add_index_command(CLI::App& app) {
  auto arguments = std::make_shared<IndexArguments>();
  CLI::App* command = app.add_subcommand("index", "Make and change files of pictures to search");
  command->require_subcommand(1);
  const auto subcommand = [&](const char* name, const char* help, const char* example, auto run) {
    CLI::App* result = command->add_subcommand(name, help);
    result->footer(example);
    add_json_flag(*result, arguments->json);
    result->callback([=] { run(*arguments); });
    return result;
  };
  const auto index = [&](CLI::App* of) {
    of->add_option("INDEX", arguments->index, "An index, as `index build` made it")->required();
  };
  const auto pictures = [&](CLI::App* of) {
    of->add_option("INPUT", arguments->inputs, "Images, and folders with images at any depth")
        ->required();
    add_skip_option(*of, arguments->skip_corrupt);
    arguments->compute.add_to(*of);
  };

  CLI::App* to_build = subcommand("build", "Embed pictures into a new index",
                                  "lookalike index build runs/mine/model.safetensors pictures/ "
                                  "--out my.index",
                                  build);
  to_build
      ->add_option("MODEL", arguments->model,
                   "Checkpoint (RUN/model.safetensors), or the name of published weights")
      ->required();
  output_name(to_build->add_option("--out", arguments->index, "File to write"))
      ->type_name("FILE")
      ->required();
  one_of(to_build->add_option("--storage", arguments->storage,
                              "How embeddings are kept: f16 takes half, and loses what `index "
                              "info` says"),
         {"f32", "f16"})
      ->capture_default_str();
  add_center_option(*to_build, arguments->center);
  pictures(to_build);

  CLI::App* to_add = subcommand("add", "Add pictures; those that are there are not embedded again",
                                "lookalike index add pictures.index more/", add);
  index(to_add);
  pictures(to_add);

  CLI::App* to_remove =
      subcommand("remove", "Take pictures out, by their names",
                 "lookalike index remove pictures.index pictures/old.jpg", remove);
  index(to_remove);
  to_remove->add_option("NAME", arguments->names, "Names of pictures in it: their paths when they were added")->required();

  CLI::App* to_show =
      subcommand("info", "Print what an index holds", "lookalike index info pictures.index", info);
  index(to_show);
}

}  // namespace lookalike
