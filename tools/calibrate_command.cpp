// lookalike calibrate MODEL --data DIR: from what score on two pictures count as the same. The
// threshold comes from validation pairs, and is stored in the model.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <set>

#include "engine/core/random.h"
#include "engine/data/class_layout.h"
#include "engine/data/classes.h"
#include "engine/eval/calibration.h"
#include "engine/eval/embed.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostPairs = int64_t{1} << 22;

struct CalibrateArguments {
  std::string model, data, pairs, out;
  double rate = 0.001;
  uint64_t seed = 0;
  bool skip_corrupt = false, json = false;
  ComputeArguments compute;
};

enum class PairKind { partner, other, neither };

// Images that ask and images that answer.
struct Sides {
  std::vector<int64_t> left, right;
  // What an image that asks and one that answers are to each other. Pictures of one group of pairs that are no partners
  // are neither: they are joined by others that look like both.
  std::function<PairKind(int64_t, int64_t)> match;
  std::string hash;
};

std::string validation_pairs(const CalibrateArguments& arguments) {
  const fs::path own = fs::path(arguments.model).parent_path() / "splits" / "val.csv";
  std::error_code ignored;
  if (!arguments.pairs.empty()) return arguments.pairs;
  if (fs::exists(fs::path(arguments.data) / "val.csv", ignored))
    return fs::path(arguments.data) / "val.csv";
  check(fs::exists(own, ignored),
        "calibrate: neither {} nor {} is there, expected validation pairs, or --pairs FILE",
        (fs::path(arguments.data) / "val.csv").string(), own.string());
  return own;
}

// Every left image with every right one that matches it or does not, or with so many drawn ones of
// each kind that there are not too many pairs.
CandidateLists lists_of(const Sides& sides, uint64_t seed) {
  const int64_t q = std::ssize(sides.left), r = std::ssize(sides.right);
  const int64_t most = std::max<int64_t>(kMostPairs / std::max<int64_t>(q, 1) / 2, 1);
  std::vector<int64_t> order(r);
  std::iota(order.begin(), order.end(), 0);
  if (r > most) Random(seed, RandomUse::candidates).shuffle(std::span(order));
  CandidateLists lists;
  std::vector<std::vector<int64_t>> candidates(q);
  for (int64_t i = 0; i < q; i++) {
    int64_t room[2] = {most, most};  // for others, and for partners
    const int64_t start = static_cast<int64_t>(Random(seed, RandomUse::candidates, i).below(r));
    for (int64_t step = 0; step < r && room[0] + room[1] > 0; step++) {
      const int64_t j = order[(start + step) % r];
      const PairKind kind = sides.match(sides.left[i], sides.right[j]);
      if (kind == PairKind::neither || room[kind == PairKind::partner] == 0)
        continue;
      room[kind == PairKind::partner]--;
      candidates[i].push_back(j);
    }
    lists.count = std::max(lists.count, std::ssize(candidates[i]));
  }
  for (int64_t i = 0; i < q; i++) {
    candidates[i].resize(lists.count, kNoCandidate);
    lists.query.push_back(i);
    lists.truth.push_back(0);
    lists.candidates.insert(lists.candidates.end(), candidates[i].begin(), candidates[i].end());
  }
  return lists;
}

void run_calibrate(const CalibrateArguments& arguments) {
  const std::string path = weights_file(arguments.model);
  const std::string out = arguments.out.empty() ? arguments.model : arguments.out;
  check(!arguments.out.empty() || path == arguments.model,
        "calibrate: {} are published weights, which stay as they are; expected --out FILE",
        arguments.model);
  if (!arguments.out.empty())
    check_outputs({{"--out", out, FileKind::safetensors}},
                  {{"MODEL", path}, {"--pairs", arguments.pairs}});
  AtomicFile file(out);  // which nobody else writes meanwhile
  const Compute compute = arguments.compute.parse();
  const OnCorrupt on_corrupt = arguments.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop;
  Checkpoint checkpoint = read_checkpoint(path);
  Model model = model_of(checkpoint, path);
  const bool of_pairs = layout_of(arguments.data) == Layout::pairs;
  check(of_pairs || arguments.pairs.empty(), "--pairs is for pairs, and {} holds classes of images",
        arguments.data);
  Dataset data;
  Sides sides;
  std::string where = arguments.data;
  if (of_pairs) {
    where = validation_pairs(arguments);
    PairData pairs =
        load_pairs(pairs_folder(arguments.data, "train"), where, model.preprocess, on_corrupt);
    sides.left = pairs.images_of(0), sides.right = pairs.images_of(1);
    sides.hash = content_hash(pairs.pairs);
    sides.match = [partners = std::set(pairs.samples.begin(), pairs.samples.end()),
                   labels = pairs.labels](int64_t left, int64_t right) {
      if (labels[left] != labels[right]) return PairKind::other;
      return partners.contains({left, right}) ? PairKind::partner : PairKind::neither;
    };
    data = std::move(pairs);
  } else {
    ClassData classes = load_classes(arguments.data, "val", model.preprocess, on_corrupt);
    std::vector<Pair> named;
    for (size_t i = 0; i < classes.labels.size(); i++)
      named.push_back({classes.names[i], classes.classes[classes.labels[i]]});
    sides.left = sides.right = classes.images.all();
    sides.hash = content_hash(named);
    sides.match = [labels = classes.labels](int64_t a, int64_t b) {
      if (a == b) return PairKind::neither;
      return labels[a] == labels[b] ? PairKind::partner : PairKind::other;
    };
    data = std::move(classes);
  }
  report_skipped(data.skipped);
  int64_t seen = 0;
  for (const int64_t image : data.images.all())
    seen += model.seen.trained_on(data.images.content_hash(image));
  check(seen == 0,
        "{} of {} images of {} trained {}: a threshold of theirs says nothing of new pictures; "
        "expected validation pairs",
        seen, data.images.size(), where, arguments.model);

  prepare_model(model, compute);
  Network& network = *model.network;
  const Tensor left = embed(network, data.images, sides.left, compute, PairSide::left),
               right = embed(network, data.images, sides.right, compute, PairSide::right);
  const CandidateLists lists = lists_of(sides, arguments.seed);
  const Tensor scores = score_lists(network, left, right, lists, compute);
  std::vector<ScoredPair> pairs;
  for (int64_t i = 0; i < scores.size(); i++) {
    if (lists.candidates[i] == kNoCandidate) continue;
    const int64_t query = i / lists.count;
    const PairKind match = sides.match(sides.left[query], sides.right[lists.candidates[i]]);
    pairs.push_back({scores.data<float>()[i], match == PairKind::partner, query});
  }
  Calibration calibration = calibrate(std::move(pairs), arguments.rate, arguments.seed);
  calibration.pairs_hash = sides.hash;
  checkpoint.calibration = calibration;
  write_checkpoint(file, checkpoint);
  if (arguments.json) {
    nlohmann::ordered_json json = result_json("calibrate");
    json.update({{"model", out}, {"pairs", where}, {"calibration", to_json(calibration)}});
    return print_json(json);
  }
  print_line("{}: threshold {:.4f} [{:.4f}, {:.4f}]", out, calibration.threshold.score,
             calibration.low, calibration.high);
  print_line("there {:.3g} % of {} other pairs match, and {:.1f} % of {} matching ones",
             100 * calibration.threshold.false_match_rate, calibration.others,
             100 * calibration.threshold.true_match_rate, calibration.matching);
}

}  // namespace

void add_calibrate_command(CLI::App& app) {
  auto arguments = std::make_shared<CalibrateArguments>();
  CLI::App* command = app.add_subcommand(
      "calibrate", "Find from what score on two pictures count as the same, and store it");
  command->footer("lookalike calibrate runs/mine/model.safetensors --data mine");
  command
      ->add_option("MODEL", arguments->model,
                   "Checkpoint (RUN/model.safetensors), or the name of published weights")
      ->required();
  command
      ->add_option("--data", arguments->data,
                   "Folder with left/ and right/ and val.csv, or with classes of images")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--pairs", arguments->pairs,
                   "Validation pairs (default: val.csv of --data, else of the run)")
      ->type_name("FILE");
  number(command->add_option("--false-match-rate", arguments->rate,
                             "Share of other pairs that may count as the same"),
         1e-9, 1)
      ->type_name("RATE")
      ->capture_default_str();
  output_name(command->add_option("--out", arguments->out, "Write the model here (default: MODEL)"))
      ->type_name("FILE");
  whole_number(command->add_option("--seed", arguments->seed, "Of what is drawn at random"), 0,
               kAnySeed)
      ->type_name("N")
      ->capture_default_str();
  add_json_flag(*command, arguments->json);
  add_skip_option(*command, arguments->skip_corrupt);
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_calibrate(*arguments); });
}

}  // namespace lookalike
