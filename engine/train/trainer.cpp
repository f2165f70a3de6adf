#include "engine/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/data/csv.h"
#include "engine/eval/embed.h"
#include "engine/io/atomic_file.h"
#include "engine/train/checkpoint.h"
#include "engine/train/feature_cache.h"
#include "engine/core/progress.h"
#include "engine/train/training_data.h"

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
  std::vector<int64_t> hardest;  // of each pair, in this epoch, where hard negatives are asked for
};

json to_json(const Position& p) {
  return {{"epoch", p.epoch}, {"step", p.step},   {"best_epoch", p.best_epoch}, {"stale", p.stale},
          {"best", p.best},   {"meter", p.meter}, {"hardest", p.hardest}};
}

Position position_from_json(const json& j, const std::string& path) {
  try {
    return {j.at("epoch"),
            j.at("step"),
            j.at("best_epoch"),
            j.at("stale"),
            j.at("best").is_null() ? NAN : j.at("best").get<double>(),
            j.at("meter").get<Meter>(),
            j.at("hardest").get<std::vector<int64_t>>()};
  } catch (const json::exception& error) {
    fail("{}: metadata 'progress': {}", path, error.what());
  }
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
  Run(const Recipe& recipe, Network& network, const TrainJob& job);
  TrainResult go();

 private:
  void resume();
  void open_loader();
  void find_hardest();
  void train_step();
  void read_losses();
  void end_epoch();
  Tensor embed_all(const Dataset& data, const Tensor& features);
  LossResult loss_of(const Tensor& batch, std::span<const int32_t> labels, uint64_t seed, bool training);
  LossResult loss_of(const Variable& output, const Tensor& images, std::span<const int32_t> labels,
                     uint64_t seed) const;
  double validation_loss(const Tensor& embeddings);
  json validate();
  void write(const char* name, bool resumable) const;
  void show_step();
  std::string path(const char* name) const { return (fs::path(job_.out) / name).string(); }

  const Recipe& recipe_;
  Network& network_;
  const TrainJob& job_;
  NetworkState state_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingData data_;
  Tensor train_features_, validation_features_;  // of the frozen layers, where they are cached
  std::unique_ptr<Loader> loader_;
  int64_t steps_per_epoch_ = 0;
  std::unique_ptr<Schedule> schedule_;
  Position at_;
  std::vector<LossResult> unread_;  // of the last steps
  Progress progress_;
  std::chrono::steady_clock::time_point began_;
  int64_t steps_done_ = 0;  // since began_
};

Run::Run(const Recipe& recipe, Network& network, const TrainJob& job) : recipe_(recipe), network_(network), job_(job) {
  check(job.resume || !fs::exists(path("last.safetensors")),
        "{}: holds a run already; continue it with --resume or name another folder", job.out);
  prepare_network(network, job.compute);
  state_ = state_of(network);
  optimizer_ = make_optimizer(recipe.optimizer, network.trainable(recipe.stage_decay));

  data_ = open_training_data(recipe, job.data, job.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop);
  for (const Dataset* data : {&data_.train, &data_.validation}) {
    for (const std::string& line : data->skipped) progress_.print("skipped: " + line);
  }
  if (job.resume) {
    for (const auto& [name, rows] : data_.splits) {
      const std::string file = path(("splits/" + name).c_str());
      std::vector<std::vector<std::string>> before;
      for (const CsvRow& row : read_csv(file)) before.push_back(row.cells);
      check(before == rows, "{}: the split differs from the one this run began with: {}", job.data, file);
    }
    resume();
  }
  if (!job.cache_features.empty()) {
    check(!network.frozen_names().empty(), "--cache-features without train.freeze: there are no frozen layers");
    check(recipe.augmentation.is_identity(),
          "--cache-features with augmentation: features of changing images cannot be kept");
    check(recipe.objective.name != "reconstruction",
          "--cache-features with loss 'reconstruction', which needs the images");
    // The frozen layers do not depend on a head that is none of them.
    json layers = recipe.resolved["model"];
    if (!network.frozen_names().back().starts_with("head.")) layers.erase("head");
    const std::string model = layers.dump();
    train_features_ = cached_features(network, model, data_.train.images, job.cache_features, job.compute);
    validation_features_ = cached_features(network, model, data_.validation.images, job.cache_features, job.compute);
  }

  // Nothing is written before everything that can be wrong with the input has been read.
  fs::create_directories(path("splits"));
  for (const auto& [name, rows] : data_.splits) write_csv(path(("splits/" + name).c_str()), rows);
  write_file_atomically(path("recipe.toml"), to_toml(recipe.resolved));
  keep_lines(path("metrics.jsonl"), at_.epoch);

  if (recipe.hard_negatives && at_.step == 0) find_hardest();
  open_loader();
  steps_per_epoch_ = loader_->steps_per_epoch();
  schedule_ = std::make_unique<Schedule>(make_schedule(recipe, steps_per_epoch_));
}

void Run::open_loader() {
  Sampler sampler = data_.sampler;
  if (recipe_.hard_negatives) {
    const int64_t batch = std::min(recipe_.batch_pairs, sampler.size);
    sampler.epoch = [this, batch, hardest = at_.hardest](int64_t epoch) {
      return mined_epoch(data_.pairs, hardest, batch, recipe_.seed, epoch);
    };
  }
  loader_.reset();
  loader_ = std::make_unique<Loader>(data_.train, std::move(sampler), recipe_.batch_pairs, recipe_.augmentation,
                                     recipe_.seed, at_.epoch, at_.step, job_.compute, train_features_);
}

// For each training pair the one with the wrong image nearest to either of its own, as the network sees them now.
void Run::find_hardest() {
  const bool cosine = network_.similarity == Similarity::cosine;
  const Tensor all = embed_all(data_.train, train_features_), embeddings = cosine ? normalize_rows(all) : all;
  const int64_t pairs = std::ssize(data_.pairs);
  check(pairs >= 2, "{}: one pair, of which no negative can be had", job_.data);
  std::vector<int64_t> of_pairs;
  for (const auto& [left, right] : data_.pairs) of_pairs.insert(of_pairs.end(), {left, right});
  const Tensor images = rows_of(embeddings, of_pairs);
  const Neighbors nearest =
      (cosine ? search_top_k : search_nearest)(images, images, 3);  // itself, perhaps its partner, and a wrong one
  at_.hardest.assign(pairs, 0);
  for (int64_t pair = 0; pair < pairs; pair++) {
    float best = -std::numeric_limits<float>::infinity();
    for (int64_t entry = 6 * pair; entry < 6 * (pair + 1); entry++) {
      const int64_t other = nearest.indices.data<int64_t>()[entry] / 2;
      const float score = nearest.scores.data<float>()[entry];
      if (other != pair && score > best) best = score, at_.hardest[pair] = other;
    }
  }
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
  const auto pairs = std::ssize(data_.pairs);
  check(!recipe_.hard_negatives || at_.step == 0 ||
            (std::ssize(at_.hardest) == pairs &&
             std::ranges::all_of(at_.hardest, [&](int64_t i) { return i >= 0 && i < pairs; })),
        "{}: metadata 'progress': 'hardest' does not fit {} pairs", file, pairs);
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

// `batch`: the images of samples, or their features.
LossResult Run::loss_of(const Tensor& batch, std::span<const int32_t> labels, uint64_t seed, bool training) {
  Variable x(recipe_.objective.input_of(batch));
  if (!train_features_.defined()) x = network_.forward_frozen(x);
  return loss_of(network_.training_output(x, {.training = training, .views = recipe_.objective.views(), .seed = seed}),
                 batch, labels, seed);
}

LossResult Run::loss_of(const Variable& output, const Tensor& images, std::span<const int32_t> labels,
                        uint64_t seed) const {
  return recipe_.objective.loss({.output = output,
                                 .labels = labels,
                                 .mixed_samples = data_.mixed_samples,
                                 .images = images,
                                 .matcher = network_.matcher.get(),
                                 .seed = seed});
}

void Run::train_step() {
  const Batch batch = loader_->next();
  const int64_t step = at_.epoch * steps_per_epoch_ + at_.step;
  LossResult result = loss_of(batch.images, batch.labels, step_seed(recipe_.seed, step), true);
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

Tensor Run::embed_all(const Dataset& data, const Tensor& features) {
  return features.defined() ? embed_features(network_, features, job_.compute)
                            : embed(network_, data.images, data.images.all(), job_.compute);
}

// Mean over the samples of validation, in batches as large as those of training.
double Run::validation_loss(const Tensor& embeddings) {
  const std::vector<Sample> samples = data_.validation_sampler.epoch(0);
  double sum = 0;
  for (int64_t begin = 0; begin < std::ssize(samples); begin += recipe_.batch_pairs) {
    const auto batch = std::span(samples).subspan(begin, std::min(recipe_.batch_pairs, std::ssize(samples) - begin));
    std::vector<int64_t> images;
    std::vector<int32_t> labels;
    for (const int view : {0, 1})
      for (const Sample& sample : batch) {
        images.push_back(sample.images[view]);
        labels.push_back(data_.validation.labels[sample.images[view]]);
      }
    // The embeddings are the output, unless training has a head of its own.
    LossResult result;
    if (!network_.training_head && recipe_.objective.input == InputViews::both) {
      result = loss_of(Variable(rows_of(embeddings, images).to(job_.compute.device)), {}, labels, recipe_.seed);
    } else if (validation_features_.defined()) {
      result = loss_of(place_input(rows_of(validation_features_, images), job_.compute), labels, recipe_.seed, false);
    } else {
      result = loss_of(place_input(data_.validation.images.batch(images), job_.compute), labels, recipe_.seed, false);
    }
    sum += result.loss.value().item() * static_cast<double>(batch.size());
  }
  return sum / static_cast<double>(samples.size());
}

// Loss, ranks and embedding rank over the validation set, in evaluation mode.
json Run::validate() {
  NoGrad no_grad;
  const Tensor embeddings = embed_all(data_.validation, validation_features_);
  const Tensor scores = score_lists(network_, rows_of(embeddings, data_.left), rows_of(embeddings, data_.right),
                                    data_.protocol.lists, job_.compute);
  const std::array<int64_t, 3> ks{1, 2, 4};
  const RankMetrics ranking = rank_metrics(ranks_of(data_.protocol, scores), ks, 0);
  return {{"loss", validation_loss(embeddings)},
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
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const json metrics = validate();
  const bool last = recipe_.monitor == "last";
  const double value = last ? static_cast<double>(at_.epoch) : metrics[recipe_.monitor].get<double>();
  const bool better = at_.best_epoch == 0 || (recipe_.monitor == "loss" ? value < at_.best : value > at_.best);
  at_.epoch++, at_.step = 0;
  at_.stale++;
  if (better) at_.best = value, at_.best_epoch = at_.epoch, at_.stale = 0;

  const double images_per_second = 2.0 * static_cast<double>(loader_->batch_size() * steps_done_) / seconds;
  const json line{{"epoch", at_.epoch},
                  {"loss", at_.meter.mean(at_.meter.loss)},
                  {"active_share", at_.meter.mean(at_.meter.active_share)},
                  {"learning_rate", schedule_->at(at_.epoch * steps_per_epoch_ - 1)},
                  {"images_per_second", images_per_second},
                  {"seconds", seconds},
                  {"validation", metrics}};
  const double active = line["active_share"];
  progress_.print(
      fmt::format("epoch {}/{}  loss {:.4f}{}  validation: loss {:.4f}  top-1 {:.1f} %  top-2 {:.1f} %  top-4 "
                  "{:.1f} %"
                  "  {:.0f} images/s{}",
                  at_.epoch, recipe_.epochs, line["loss"].get<double>(),
                  active > 0 ? fmt::format("  active {:.0f} %", 100 * active) : "", metrics["loss"].get<double>(),
                  100 * metrics["top1"].get<double>(), 100 * metrics["top2"].get<double>(),
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
    if (recipe_.hard_negatives && at_.epoch < recipe_.epochs) find_hardest(), open_loader();
  }
  return {at_.epoch, at_.best_epoch, at_.best};
}

}  // namespace

TrainResult train(const Recipe& recipe, Network& network, const TrainJob& job) {
  return Run(recipe, network, job).go();
}

}  // namespace lookalike
