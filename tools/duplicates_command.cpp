// lookalike duplicates INPUT...|INDEX: pictures that are nearly the same.
#include <algorithm>
#include <memory>

#include "engine/report/page.h"
#include "engine/search/index_file.h"
#include "engine/search/search.h"
#include "models/model.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

struct DuplicatesArguments {
  std::vector<std::string> inputs;
  std::string model = "efficientnet_lite0", above = "0.95", html;
  const CLI::Option *model_option = nullptr, *above_option = nullptr;
  bool skip_corrupt = false, json = false;
  ComputeArguments compute;
};

void run_duplicates(const DuplicatesArguments& arguments) {
  std::vector<NamedInput> inputs;
  for (const std::string& input : arguments.inputs) inputs.push_back({"INPUT", input});
  check_outputs({{"--html", arguments.html, FileKind::html}}, inputs);
  const Compute compute = arguments.compute.parse();
  IndexedImages images;
  std::string where = arguments.model;
  std::optional<Model> model;
  if (arguments.inputs.size() == 1 && is_index(arguments.inputs[0])) {
    check(arguments.model_option->count() == 0,
          "--model is for pictures; an index has embeddings of its own");
    where = arguments.inputs[0];
    const IndexFile index(where);
    model = model_of(index.model(), where);
    images = {index.names(), index.hashes(), as_f32(index.embeddings())};
  } else {
    model = load_model(arguments.model);
    check(!model->network->matcher,
          "{}: judges pairs by a matcher; near duplicates need embeddings that are compared by "
          "cosine or distance",
          where);
  }
  const Similarity similarity = model->network->similarity;
  check(similarity == Similarity::cosine || arguments.above_option->count() > 0,
        "{}: compares by distance, for which --above has no default", where);
  const double above = threshold_of(arguments.above, model->calibration, similarity, where);
  if (!images.embeddings.defined()) {
    const std::vector<std::string> files = image_inputs(arguments.inputs);
    check_names_once(files);
    prepare_model(*model, compute);
    images = embed_inputs(*model, files, compute, arguments.skip_corrupt);
  }
  const std::vector<DuplicateGroup> groups =
      find_duplicates(images.embeddings, similarity, static_cast<float>(above), compute.device);
  images.embeddings = {};

  const auto same = [&](int64_t a, int64_t b) { return images.hashes[a] == images.hashes[b]; };
  int64_t found = 0;
  for (const DuplicateGroup& group : groups) found += std::ssize(group.members);
  const std::string sentence =
      fmt::format("{} of {} pictures score {:.4g} or more with one before them, in {} {}", found,
                  images.count(), above, groups.size(), groups.size() == 1 ? "group" : "groups");
  if (!arguments.html.empty()) {
    std::vector<GalleryRow> rows;
    std::vector<std::string> skipped;
    for (const auto& [representative, members] : groups) {
      GalleryRow& row = rows.emplace_back();
      row.first = {images.names[representative], images.names[representative]};
      for (const auto& [member, score] : members)
        row.others.push_back(
            {images.names[member], fmt::format("{:.4f}\n{}", score, images.names[member])});
    }
    write_file_atomically(arguments.html,
                          gallery_page("Near duplicates", sentence + ".", rows, skipped));
    report_skipped(skipped);
  }
  if (arguments.json) {
    nlohmann::ordered_json json = result_json("duplicates");
    json.update({{"images", images.count()},
                 {"above", above},
                 {"similarity", name_of(similarity)},
                 {"duplicates", found}});
    json["groups"] = nlohmann::ordered_json::array();
    for (const auto& [representative, members] : groups) {
      nlohmann::ordered_json group{{"name", images.names[representative]},
                                   {"members", nlohmann::ordered_json::array()}};
      for (const auto& [row, score] : members)
        group["members"].push_back({{"name", images.names[row]},
                                    {"score", score},
                                    {"same_picture", same(representative, row)}});
      json["groups"].push_back(std::move(group));
    }
    return print_json(json);
  }
  for (const auto& [representative, members] : groups) {
    print_line("{}", images.names[representative]);
    for (const auto& [row, score] : members)
      print_line("  {:7.4f}  {}{}", score, images.names[row],
                 same(representative, row) ? "  (the same picture)" : "");
  }
  print_line("{}", sentence);
}

}  // namespace

void add_duplicates_command(CLI::App& app) {
  auto arguments = std::make_shared<DuplicatesArguments>();
  CLI::App* command = app.add_subcommand("duplicates", "Find pictures that are nearly the same");
  command->footer(
      "lookalike duplicates pictures/\n"
      "lookalike duplicates pictures.index --above auto");
  command
      ->add_option("INPUT", arguments->inputs,
                   "Images, and folders with images at any depth; or an index alone")
      ->required();
  arguments->model_option =
      command
          ->add_option("--model", arguments->model,
                       "Checkpoint, or the name of published weights, that compares pictures")
          ->type_name("MODEL")
          ->capture_default_str();
  arguments->above_option = add_above_option(*command, arguments->above)->capture_default_str();
  add_json_flag(*command, arguments->json);
  output_name(command->add_option("--html", arguments->html, "Also write a page with the pictures"))
      ->type_name("FILE.html");
  add_skip_option(*command, arguments->skip_corrupt);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_duplicates(*arguments); });
}

}  // namespace lookalike
