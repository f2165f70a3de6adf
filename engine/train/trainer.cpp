#include "engine/train/trainer.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/data/loader.h"
#include "engine/data/pairs.h"
#include "engine/eval/embed.h"
#include "engine/eval/protocol.h"
#include "engine/io/atomic_file.h"
#include "engine/train/checkpoint.h"
#include "engine/train/progress.h"

namespace lookalike {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Means over the steps of one epoch. Part of a checkpoint, so that a resumed epoch reports what the whole one would
// have.
struct Meter {
  double loss = 0, active_share = 0;
  int64_t steps = 0;

  void add(double step_loss, double active) { loss += step_loss, active_share += active, steps++; }
  double mean(double sum) const { return steps ? sum / static_cast<double>(steps) : 0; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Meter, loss, active_share, steps)

// Where a run stands: everything besides tensors that the next step depends on.
struct Position {
  int64_t epoch = 0, step = 0;        // the next step to do
  int64_t best_epoch = 0, stale = 0;  // epochs since the best one
  double best = NAN;
  Meter meter;
};

json to_json(const Position& p) {
  return {{"epoch", p.epoch}, {"step", p.step}, {"best_epoch", p.best_epoch},
          {"stale", p.stale}, {"best", p.best}, {"meter", p.meter}};
}

Position position_from_json(const json& j, const std::string& path) {
  try {
    return {j.at("epoch"),
            j.at("step"),
            j.at("best_epoch"),
            j.at("stale"),
            j.at("best").is_null() ? NAN : j.at("best").get<double>(),
            j.at("meter").get<Meter>()};
  } catch (const json::exception& error) {
    fail("{}: metadata 'progress': {}", path, error.what());
  }
}

// The pairs of a run and the files that they were read from.
struct Splits {
  Split pairs;
  std::string train_file, validation_file;
};

// Those of the data folder where it has them, else drawn by the recipe.
Splits open_splits(const Recipe& recipe, const fs::path& data) {
  const fs::path train = data / "train.csv", validation = data / "val.csv", test = data / "test.csv",
                 all = data / "pairs.csv";
  if (!fs::exists(train) || !fs::exists(validation)) {
    return {split_pairs(read_pairs(all), recipe.split_ratios, recipe.split_seed), all, all};
  }
  Split split{read_pairs(train), read_pairs(validation), {}};
  if (fs::exists(test)) split.test = read_pairs(test);
  return {std::move(split), train, validation};
}

// The path of the first setting that differs: "train/seed".
std::string first_difference(const json& a, const json& b) {
  const json differences = json::diff(a, b);
  return differences.empty() ? "" : differences[0]["path"].get<std::string>().substr(1);
}

// The first lines of a file of metrics, one for each finished epoch; what a killed run wrote behind them is dropped.
void keep_lines(const std::string& file, int64_t count) {
  std::ifstream in(file);
  std::string kept, line;
  for (int64_t i = 0; i < count && std::getline(in, line); i++) kept += line + '\n';
  write_file_atomically(file, kept);
}

void append_line(const std::string& file, const std::string& line) {
  std::ofstream out(file, std::ios::app);
  out << line << '\n';
  check(out.flush().good(), "{}: cannot be written", file);
}

// What a loss that draws numbers draws them from.
uint64_t step_seed(uint64_t seed, int64_t step) {
  Random random(seed, RandomUse::negatives, step);
  return uint64_t{random.next_u32()} << 32 | random.next_u32();
}

constexpr size_t kStepsBetweenReads = 16;
constexpr const char* kOptimizerPrefix = "optimizer/";

class Run {
 public:
  Run(const Recipe& recipe, Module& network, const TrainJob& job);
  TrainResult go();

 private:
  void resume();
  void train_step();
  void read_losses();
  void end_epoch();
  json validate();
  void write(const char* name, bool resumable) const;
  void show_step();
  std::string path(const char* name) const { return (fs::path(job_.out) / name).string(); }

  const Recipe& recipe_;
  Module& network_;
  const TrainJob& job_;
  NetworkState state_;
  std::unique_ptr<Optimizer> optimizer_;
  PairData train_, validation_;
  Protocol protocol_;                       // of validation
  std::vector<int64_t> validation_images_;  // the left ones, then their partners
  std::unique_ptr<PairLoader> loader_;
  int64_t steps_per_epoch_ = 0;
  std::unique_ptr<Schedule> schedule_;
  Position at_;
  std::vector<LossResult> unread_;  // of the last steps
  Progress progress_;
  std::chrono::steady_clock::time_point began_;
  int64_t steps_done_ = 0;  // since began_
};

Run::Run(const Recipe& recipe, Module& network, const TrainJob& job)
    : recipe_(recipe), network_(network), job_(job), state_(state_of(network)) {
  check(job.resume || !fs::exists(path("last.safetensors")),
        "{}: holds a run already; continue it with --resume or name another folder", job.out);
  prepare_network(network, job.compute);
  optimizer_ = make_optimizer(recipe.optimizer, state_.parameters);

  const OnCorrupt on_corrupt = job.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop;
  const Splits splits = open_splits(recipe, job.data);
  const auto& [train, validation, test] = splits.pairs;
  train_ = load_pairs(job.data, train, splits.train_file, recipe.preprocess, on_corrupt);
  validation_ = load_pairs(job.data, validation, splits.validation_file, recipe.preprocess, on_corrupt);
  for (const PairData* data : {&train_, &validation_}) {
    for (const std::string& line : data->skipped) progress_.print("skipped: " + line);
  }
  protocol_ = make_protocol(validation_.pairs, recipe.candidates, recipe.lists, recipe.evaluate_seed);
  for (const int side : {0, 1}) {
    for (const auto& sample : validation_.samples) validation_images_.push_back(sample[side]);
  }
  if (job.resume) {
    for (const auto& [name, pairs] : {std::pair("splits/train.csv", &train), {"splits/val.csv", &validation}})
      check(content_hash(read_pairs(path(name))) == content_hash(*pairs),
            "{}: the pairs differ from those this run began with: {}", job.data, path(name));
    resume();
  }

  // Nothing is written before everything that can be wrong with the input has been read.
  fs::create_directories(path("splits"));
  write_pairs(path("splits/train.csv"), train);
  write_pairs(path("splits/val.csv"), validation);
  write_pairs(path("splits/test.csv"), test);
  write_file_atomically(path("recipe.toml"), to_toml(recipe.resolved));
  keep_lines(path("metrics.jsonl"), at_.epoch);

  loader_ = std::make_unique<PairLoader>(train_, recipe.batch_pairs, recipe.augmentation, recipe.seed, at_.epoch,
                                         at_.step, job.compute);
  steps_per_epoch_ = loader_->steps_per_epoch();
  schedule_ = std::make_unique<Schedule>(make_schedule(recipe, steps_per_epoch_));
}

void Run::resume() {
  const std::string file = path("last.safetensors");
  const Checkpoint checkpoint = read_checkpoint(file);
  check(checkpoint.recipe == recipe_.resolved, "{}: the recipe differs from the one this run began with: {}", job_.out,
        first_difference(checkpoint.recipe, recipe_.resolved));
  restore(checkpoint, state_, file);
  std::map<std::string, Tensor> optimizer_state;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (name.starts_with(kOptimizerPrefix)) optimizer_state[name.substr(std::strlen(kOptimizerPrefix))] = tensor;
  }
  optimizer_->load_state(optimizer_state);
  at_ = position_from_json(checkpoint.progress, file);
}

// The losses of all steps must have been read.
void Run::write(const char* name, bool resumable) const {
  Checkpoint checkpoint{recipe_.resolved["model"], recipe_.resolved, {}, recipe_.preprocess, tensors_of(state_)};
  if (resumable) {
    checkpoint.progress = to_json(at_);
    for (const auto& [key, tensor] : optimizer_->state()) checkpoint.tensors[kOptimizerPrefix + key] = tensor;
  }
  write_checkpoint(path(name), checkpoint);
}

void Run::train_step() {
  const Batch batch = loader_->next();
  const int64_t step = at_.epoch * steps_per_epoch_ + at_.step;
  const Variable images(batch.images);
  const Variable embeddings = network_.forward(images, {.training = true, .views = 2});
  LossResult result = recipe_.objective(embeddings, step_seed(recipe_.seed, step));
  result.loss.backward();
  optimizer_->step(schedule_->at(step), recipe_.clip_norm);
  optimizer_->zero_grad();
  at_.step++;
  unread_.push_back(std::move(result));
  // To read a loss is to wait for the GPU, which should have work lined up instead.
  if (job_.compute.device == Device::cpu || unread_.size() == kStepsBetweenReads) read_losses();
}

void Run::read_losses() {
  for (size_t i = 0; i < unread_.size(); i++) {
    const double loss = unread_[i].loss.value().item();
    check(std::isfinite(loss), "epoch {}, step {}: the loss is {}; a smaller learning rate or clip_norm may help",
          at_.epoch + 1, at_.step - std::ssize(unread_) + i + 1, loss);
    at_.meter.add(loss, unread_[i].stats().active_share);
  }
  unread_.clear();
}

// Loss, ranks and embedding rank over the validation pairs, in evaluation mode.
json Run::validate() {
  const Tensor embeddings = embed(network_, validation_.images, validation_images_, job_.compute);
  const int64_t count = std::ssize(validation_images_) / 2;
  const Tensor scores = score_candidates(embeddings.rows(0, count), embeddings.rows(count, 2 * count), protocol_.lists,
                                         Similarity::cosine);
  const std::array<int64_t, 3> ks{1, 2, 4};
  const RankMetrics ranking = rank_metrics(ranks_of(protocol_, scores), ks, 0);
  NoGrad no_grad;
  return {{"loss", recipe_.objective(Variable(embeddings), recipe_.seed).loss.value().item()},
          {"top1", ranking.top[0].value},
          {"top2", ranking.top[1].value},
          {"top4", ranking.top[2].value},
          {"mrr", ranking.mrr.value},
          {"embedding_rank", embedding_rank(embeddings)}};
}

void Run::show_step() {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const int64_t left = (recipe_.epochs - at_.epoch) * steps_per_epoch_ - at_.step;
  const double per_step = seconds / static_cast<double>(steps_done_);
  // On the GPU the first losses come after some steps.
  const std::string loss = at_.meter.steps > 0 ? fmt::format("loss {:.4f}  ", at_.meter.mean(at_.meter.loss)) : "";
  progress_.update(fmt::format("epoch {}/{}  step {}/{}  {}{:.0f} images/s  {} left", at_.epoch + 1, recipe_.epochs,
                               at_.step, steps_per_epoch_, loss,
                               2.0 * static_cast<double>(loader_->batch_size()) / per_step,
                               format_seconds(per_step * static_cast<double>(left))));
}

void Run::end_epoch() {
  const json metrics = validate();
  const double value = metrics[recipe_.monitor];
  const bool better = at_.best_epoch == 0 || (recipe_.monitor == "loss" ? value < at_.best : value > at_.best);
  at_.epoch++, at_.step = 0;
  at_.stale++;
  if (better) at_.best = value, at_.best_epoch = at_.epoch, at_.stale = 0;

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const double images_per_second = 2.0 * static_cast<double>(loader_->batch_size() * steps_done_) / seconds;
  const json line{{"epoch", at_.epoch},
                  {"loss", at_.meter.mean(at_.meter.loss)},
                  {"active_share", at_.meter.mean(at_.meter.active_share)},
                  {"learning_rate", schedule_->at(at_.epoch * steps_per_epoch_ - 1)},
                  {"images_per_second", images_per_second},
                  {"validation", metrics}};
  progress_.print(fmt::format(
      "epoch {}/{}  loss {:.4f}  active {:.0f} %  validation: loss {:.4f}  top-1 {:.1f} %  top-2 {:.1f} %  top-4 "
      "{:.1f} %"
      "  {:.0f} images/s{}",
      at_.epoch, recipe_.epochs, line["loss"].get<double>(), 100 * line["active_share"].get<double>(),
      metrics["loss"].get<double>(), 100 * metrics["top1"].get<double>(), 100 * metrics["top2"].get<double>(),
      100 * metrics["top4"].get<double>(), images_per_second, better ? "  *" : ""));
  at_.meter = {};
  append_line(path("metrics.jsonl"), line.dump());
  if (better) write("model.safetensors", false);
  write("last.safetensors", true);
}

TrainResult Run::go() {
  while (at_.epoch < recipe_.epochs && (recipe_.patience == 0 || at_.stale < recipe_.patience)) {
    began_ = std::chrono::steady_clock::now();
    steps_done_ = 0;
    while (at_.step < steps_per_epoch_) {
      train_step();
      steps_done_++;
      show_step();
      if (recipe_.checkpoint_steps > 0 && at_.step % recipe_.checkpoint_steps == 0 && at_.step < steps_per_epoch_) {
        read_losses();
        write("last.safetensors", true);
      }
    }
    read_losses();
    end_epoch();
  }
  return {at_.epoch, at_.best_epoch, at_.best};
}

}  // namespace

TrainResult train(const Recipe& recipe, Module& network, const TrainJob& job) {
  return Run(recipe, network, job).go();
}

}  // namespace lookalike
