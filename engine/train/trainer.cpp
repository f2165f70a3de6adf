#include "engine/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>

#include "engine/core/finite.h"
#include "engine/core/json_text.h"
#include "engine/core/progress.h"
#include "engine/core/storage.h"
#include "engine/data/csv.h"
#include "engine/eval/embed.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"
#include "engine/train/checkpoint.h"
#include "engine/train/collapse.h"
#include "engine/train/feature_cache.h"
#include "engine/train/position.h"
#include "engine/train/stop_signal.h"
#include "engine/train/training_data.h"

namespace lookalike {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// The first lines of a file of metrics, one for each finished epoch; what a killed run wrote behind
// them is left out. Error that names the line unless it is of its epoch, and that of the best one
// has the figure which made it so.
std::string finished_lines(const std::string& file, const Position& at, const std::string& monitor) {
  std::istringstream in(fs::exists(file) ? read_file(file) : "");
  in.exceptions(std::ios::badbit);  // else a lack of memory would end the file early
  std::string kept, line;
  for (int64_t epoch = 1; epoch <= at.epoch; epoch++) {
    check(bool(std::getline(in, line)),
          "{}:{}: no line for epoch {}, expected one for each of {} finished epochs", file, epoch,
          epoch, at.epoch);
    json metrics;
    try {
      metrics = parse_json(line, file);
    } catch (const Error&) {  // the check below says what was expected
    }
    check(metrics.is_object() && metrics.contains("epoch") && metrics["epoch"] == epoch &&
              metrics.contains("loss") && metrics["loss"].is_number() &&
              metrics.contains("validation") && metrics["validation"].is_object(),
          "{}:{}: expected the metrics of epoch {} as a JSON object", file, epoch, epoch);
    if (epoch == at.best_epoch && monitor != "last")
      check(metrics["validation"].value(monitor, json()) == at.best,
            "{}:{}: validation {} of the best epoch is {}, expected {} as last.safetensors has it",
            file, epoch, monitor, metrics["validation"].value(monitor, json()).dump(), at.best);
    kept += line + '\n';
  }
  return kept;
}

// What a loss that draws numbers draws them from.
uint64_t step_seed(uint64_t seed, int64_t step) {
  Random random(seed, RandomUse::negatives, step);
  return uint64_t{random.next_u32()} << 32 | random.next_u32();
}

constexpr size_t kStepsBetweenReads = 16;
constexpr int64_t kLastingCollapse = 3;  // epochs
constexpr const char* kOptimizerPrefix = "optimizer/";
constexpr const char* kMayHelp =
    "a smaller learning rate (--set optimizer.learning_rate=NUMBER) or clipped gradients (--set optimizer.clip_norm=1) "
    "may help";

// In few columns, whatever its size.
std::string short_number(double value) {
  return fmt::format("{:#.4g}", value);
}

// What an epoch left behind.
struct Validation {
  json metrics;
  std::vector<int64_t> ranks;
  EpochSigns signs;
};

class Run {
 public:
  Run(const Recipe& recipe, Network& network, const TrainJob& job);
  TrainResult go();

 private:
  void check_new() const;
  bool finished() const;
  Checkpoint read_back();
  void resume(const Checkpoint& checkpoint);
  void check_memory() const;
  void check_lengthening() const;
  void say_what_batches_lack();
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
  Validation validate();
  void warn_of_collapse(EpochSigns signs);
  void check_weights() const;
  std::vector<Sample> mixed(std::vector<Sample> samples, const Dataset& data, int64_t batch) const;
  std::optional<Verdict> versus_raw_pixels() const;
  void write(const char* name, bool resumable) const;
  void show_step();
  std::string path(const char* name) const { return (fs::path(job_.out) / name).string(); }

  const Recipe& recipe_;
  Network& network_;
  const TrainJob& job_;
  std::optional<Claim> claim_;  // to the run folder
  std::string metrics_;         // the lines of the epochs that are finished where it begins
  NetworkState state_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingData data_;
  Tensor train_features_, validation_features_;  // of the frozen layers, where they are cached
  std::unique_ptr<Loader> loader_;
  int64_t batch_ = 0, steps_per_epoch_ = 0;
  std::unique_ptr<Schedule> schedule_;
  SeenImages seen_;
  Position at_;
  int64_t epochs_before_ = 0;       // how many the resumed run was to have
  std::vector<LossResult> unread_;  // of the last steps
  Progress progress_;
  std::chrono::steady_clock::time_point began_;
  int64_t steps_done_ = 0;  // since began_
  bool printed_header_ = false, warned_ = false;
  int64_t collapsed_epochs_ = 0;  // in a row
  bool never_active_ = true;      // no pair or triplet of any epoch had a loss above 0
};

Run::Run(const Recipe& recipe, Network& network, const TrainJob& job)
    : recipe_(recipe), network_(network), job_(job), seen_(job.seen) {
  // At once where the folder is there, so that a second training ends before its work.
  if (fs::is_directory(job.out)) claim_.emplace(job.out);
  check_new();
  std::optional<Checkpoint> before;
  if (job.resume) before = read_back();
  if (finished()) return;
  prepare_network(network, job.compute);
  state_ = state_of(network);
  optimizer_ = make_optimizer(recipe.optimizer, network.trainable(recipe.stage_decay));

  data_ = open_training_data(recipe, job.data, job.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop);
  for (const Dataset* data : {&data_.train, &data_.validation}) {
    for (const std::string& line : data->skipped) progress_.print("skipped: " + line);
  }
  for (const std::string& line : data_.notes) progress_.print(line);
  // Nothing is chosen where the last epoch is the model.
  seen_.add({hashes_of(data_.train.images),
             recipe.monitor == "last" ? std::vector<uint64_t>{} : hashes_of(data_.validation.images)});
  check(data_.sampler.size > 0, "{}: nothing to train on", job.data);
  batch_ = std::min(recipe.batch_pairs, data_.sampler.size);
  steps_per_epoch_ = data_.sampler.size / batch_;
  check_memory();
  schedule_ = std::make_unique<Schedule>(make_schedule(recipe, steps_per_epoch_));
  if (before) {
    for (const auto& [name, rows] : data_.splits) {
      const std::string file = path(("splits/" + name).c_str());
      std::vector<std::vector<std::string>> before;
      for (const CsvRow& row : read_csv(file)) before.push_back(row.cells);
      check(before == rows, "{}: the split differs from the one this run began with: {}", job.data, file);
    }
    resume(*before);
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
  make_folders(path("splits"));
  if (!claim_) {
    claim_.emplace(job.out);
    check_new();  // the folder is that of another training that has ended meanwhile
  }
  for (const auto& [name, rows] : data_.splits) write_csv(path(("splits/" + name).c_str()), rows);
  write_file_atomically(path("recipe.toml"), to_toml(recipe.resolved));
  write_file_atomically(path("metrics.jsonl"), metrics_);

  say_what_batches_lack();
  if (recipe.hard_negatives && at_.step == 0) find_hardest();
  open_loader();
}

// A batch that can't fit is an Error before any memory is taken; the GPU says so itself.
void Run::check_memory() const {
  if (job_.compute.device != Device::cpu) return;
  const Preprocess& p = recipe_.preprocess;
  const int64_t memory = machine_memory(),
                image = network_.activation_bytes({p.height, p.width, p.channels}),
                pairs = memory / (recipe_.objective.views() * std::max<int64_t>(image, 1));
  check(batch_ <= pairs,
        "train.batch_pairs = {}: the network makes {} bytes of each image, and this machine has "
        "{}, expected at most {}",
        batch_, image, memory, pairs);
}

void Run::check_new() const {
  check(job_.resume || !fs::exists(path("last.safetensors")),
        "{}: holds a run already; continue it with --resume or name another folder", job_.out);
}

bool Run::finished() const {
  return at_.epoch >= recipe_.epochs || (recipe_.patience > 0 && at_.stale >= recipe_.patience);
}

void Run::say_what_batches_lack() {
  if (batch_ < recipe_.batch_pairs)
    progress_.print(fmt::format("batches hold {} samples, since there are no more; train.batch_pairs is {}", batch_,
                                recipe_.batch_pairs));
  std::set<int32_t> classes;
  for (const Sample& sample : data_.sampler.epoch(0))
    for (const int64_t image : sample.images) classes.insert(data_.train.labels[image]);
  if (classes.size() == 1)
    progress_.print(fmt::format("{}: all training samples are of one {}, so no batch has a negative", job_.data,
                                data_.pairs.empty() ? "class (others have fewer than two images)" : "pair"));
}

// Samples such that each batch has negatives, where these are images of another class.
std::vector<Sample> Run::mixed(std::vector<Sample> samples, const Dataset& data, int64_t batch) const {
  if (data_.mixed_samples || recipe_.sampler == "views") return samples;
  return mix_batches(std::move(samples), data.labels, batch);
}

void Run::open_loader() {
  Sampler sampler = data_.sampler;
  if (recipe_.hard_negatives) {
    sampler.epoch = [this, hardest = at_.hardest](int64_t epoch) {
      return mined_epoch(data_.pairs, hardest, batch_, recipe_.seed, epoch);
    };
  } else {
    sampler.epoch = [this](int64_t epoch) { return mixed(data_.sampler.epoch(epoch), data_.train, batch_); };
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
  const auto label = [&](int64_t pair) { return data_.train.labels[data_.pairs[pair][0]]; };
  std::map<int32_t, int64_t> of_class;
  for (int64_t pair = 0; pair < pairs; pair++) of_class[label(pair)]++;
  const int64_t largest =
      std::ranges::max_element(of_class, {}, [](const auto& c) { return c.second; })->second;
  // Both images of all pairs of its class, and a wrong one.
  const int64_t k = std::min(2 * largest + 1, 2 * pairs);
  at_.hardest.assign(pairs, 0);
  constexpr int64_t kPairs = 128;  // at a time
  for (int64_t begin = 0; begin < pairs; begin += kPairs) {
    const int64_t end = std::min(begin + kPairs, pairs);
    const Neighbors nearest =
        search_similar(images.rows(2 * begin, 2 * end), images, k, network_.similarity);
    for (int64_t pair = begin; pair < end; pair++) {
      float best = -std::numeric_limits<float>::infinity();
      for (int64_t entry = 2 * k * (pair - begin); entry < 2 * k * (pair - begin + 1); entry++) {
        const int64_t other = nearest.indices.data<int64_t>()[entry] / 2;
        const float score = nearest.scores.data<float>()[entry];
        if (label(other) != label(pair) && score > best) best = score, at_.hardest[pair] = other;
      }
    }
  }
}

// What stands in the way of going on is an Error, before any image is read.
Checkpoint Run::read_back() {
  const std::string file = path("last.safetensors");
  check(fs::exists(file), "{}: no run to go on with (no last.safetensors); without --resume a new one begins",
        job_.out);
  Checkpoint checkpoint = read_checkpoint(file);
  check(checkpoint.recipe.is_object(), "{}: not of a run (no metadata 'recipe')", file);
  const auto differences = recipe_differences(checkpoint.recipe, recipe_.resolved);
  if (!differences.empty())
    fail("{}: the recipe differs from the one this run began with: {}{}", job_.out, differences[0],
         differences.size() > 1 ? fmt::format(", and {} more", differences.size() - 1) : "");
  const json& train = checkpoint.recipe["train"];
  check(train.contains("epochs") && is_integer_within(train["epochs"], 1, kMostEpochs),
        "{}: metadata 'recipe': train.epochs, expected an integer from 1 to {}", file, kMostEpochs);
  epochs_before_ = train["epochs"];
  at_ = position_from_json(checkpoint.progress, epochs_before_, file);
  check(at_.epoch < recipe_.epochs || (at_.epoch == recipe_.epochs && at_.step == 0),
        "{}: train.epochs is {} (--epochs), but this run has done {} epochs{} already", job_.out, recipe_.epochs,
        at_.epoch, at_.step > 0 ? fmt::format(" and {} steps", at_.step) : "");
  metrics_ = finished_lines(path("metrics.jsonl"), at_, recipe_.monitor);
  if (const std::string best = path("model.safetensors"); at_.best_epoch > 0)
    check(read_checkpoint(best).model == checkpoint.model, "{}: another network, expected that of {}",
          best, file);
  for (const auto& [name, tensor] : checkpoint.tensors)
    check(first_row_not_finite(tensor) < 0, "{}: tensor '{}' holds NaN or infinity", file, name);
  return checkpoint;
}

void Run::resume(const Checkpoint& checkpoint) {
  const std::string file = path("last.safetensors");
  const auto pairs = std::ssize(data_.pairs);
  check_position(at_, steps_per_epoch_, pairs, data_.protocol.lists.lists(), data_.protocol.lists.count, file);
  check(!recipe_.hard_negatives || at_.step == 0 || std::ssize(at_.hardest) == pairs,
        "{}: metadata 'progress': 'hardest' does not fit {} pairs", file, pairs);
  check_lengthening();
  restore(checkpoint, state_, file);
  std::map<std::string, Tensor> optimizer_state;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (name.starts_with(kOptimizerPrefix)) optimizer_state[name.substr(std::strlen(kOptimizerPrefix))] = tensor;
  }
  try {
    optimizer_->load_state(optimizer_state, at_.epoch * steps_per_epoch_ + at_.step);
  } catch (const Error& error) {
    fail("{}: {}", file, error.what());
  }
  seen_.add(checkpoint.seen);
  never_active_ = at_.epoch == 0;
}

// Whether the learning rates so far are those of a run that is as long from the start.
void Run::check_lengthening() const {
  Recipe before = recipe_;
  before.epochs = epochs_before_;
  const Schedule schedule = make_schedule(before, steps_per_epoch_);
  for (int64_t step = 0; step < at_.epoch * steps_per_epoch_ + at_.step; step++)
    check(
        schedule.at(step) == schedule_->at(step),
        "{}: train.epochs cannot become {} (--epochs) where it was {}: the learning rates of this run's schedule ({}) "
        "depend on it; begin a new run from its weights, with --start {} and another --out, without --resume",
        job_.out, recipe_.epochs, epochs_before_, recipe_.resolved["optimizer"]["schedule"].get<std::string>(),
        path("last.safetensors"));
}

// The losses of all steps must have been read.
void Run::write(const char* name, bool resumable) const {
  Checkpoint checkpoint{recipe_.resolved["model"], recipe_.resolved, {}, recipe_.preprocess, tensors_of(state_), seen_};
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
    check(std::isfinite(loss), "epoch {}, step {}: the loss is not a finite number; {}", at_.epoch + 1,
          at_.step - std::ssize(unread_) + i + 1, kMayHelp);
    at_.meter.add(loss, unread_[i].stats().active_share);
  }
  unread_.clear();
}

Tensor Run::embed_all(const Dataset& data, const Tensor& features) {
  return features.defined() ? embed_features(network_, features, job_.compute)
                            : embed(network_, data.images, data.images.all(), job_.compute);
}

// Losses that are finite may leave weights behind that are not: such are never written.
void Run::check_weights() const {
  for (const auto& [name, tensor] : tensors_of(state_))
    check(first_row_not_finite(tensor.to(Device::cpu)) < 0, "epoch {}, step {}: '{}' is not finite any more; {}",
          at_.epoch + 1, at_.step, name, kMayHelp);
}

// Mean over the samples of validation, in batches as large as those of training. One left over alone has no negatives and goes
// with the last batch.
double Run::validation_loss(const Tensor& embeddings) {
  const std::vector<Sample> samples = mixed(data_.validation_sampler.epoch(0), data_.validation, recipe_.batch_pairs);
  double sum = 0;
  for (int64_t begin = 0, size; begin < std::ssize(samples); begin += size) {
    const int64_t left = std::ssize(samples) - begin;
    size = left == recipe_.batch_pairs + 1 ? left : std::min(recipe_.batch_pairs, left);
    const auto batch = std::span(samples).subspan(begin, size);
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

// Loss, ranks and signs of a collapse over the validation set, in evaluation mode.
Validation Run::validate() {
  NoGrad no_grad;
  const Tensor embeddings = embed_all(data_.validation, validation_features_);
  const int64_t bad = first_row_not_finite(embeddings);
  check(bad < 0, "epoch {}: the embedding of validation image {} is not finite; {}", at_.epoch + 1, bad, kMayHelp);
  const Tensor left = rows_of(embeddings, data_.left), right = rows_of(embeddings, data_.right);
  const Tensor scores = score_lists(network_, left, right, data_.protocol.lists, job_.compute);
  const std::vector<Rank> ranks = ranks_of(data_.protocol, scores);
  const std::array<int64_t, 3> ks{1, 2, 4};
  const RankMetrics ranking = rank_metrics(ranks, ks, 0);

  Validation result;
  for (const Rank& rank : ranks) result.ranks.push_back(rank.rank);
  const auto& labels = data_.validation.labels;
  result.signs = {.similarity = mean_similarity(left, right, data_.protocol.lists, network_.similarity),
                  .rank = embedding_rank(embeddings),
                  .dimensions = embeddings.shape()[1],
                  .classes = std::ssize(std::set<int32_t>(labels.begin(), labels.end())),
                  .loss = validation_loss(embeddings),
                  .active_share = at_.meter.mean(at_.meter.active_share),
                  .epoch = at_.epoch + 1,
                  .training_images = data_.train.images.size()};
  EpochSigns& signs = result.signs;
  if (signs.similarity.spread < kNarrowSpread && !network_.training_head &&
      recipe_.objective.input == InputViews::both) {
    const Tensor mean = mean_row(embeddings);
    Tensor equal(embeddings.shape());
    for (int64_t i = 0; i < equal.shape()[0]; i++) equal.rows(i, i + 1).copy_from(mean.reshape({1, mean.size()}));
    signs.loss_if_equal = validation_loss(equal);
  }
  result.metrics = {{"loss", signs.loss},
                    {"top1", ranking.top[0].value},
                    {"top2", ranking.top[1].value},
                    {"top4", ranking.top[2].value},
                    {"mrr", ranking.mrr.value},
                    {"embedding_rank", signs.rank},
                    {"mean_similarity",
                     {{"measure", name_of(signs.similarity.measure)},
                      {"matching", signs.similarity.matching},
                      {"other", signs.similarity.other}}}};
  for (const auto& [name, value] : result.metrics.items())
    check(!value.is_number() || std::isfinite(value.get<double>()),
          "epoch {}: the validation figure '{}' is not finite; {}", at_.epoch + 1, name, kMayHelp);
  return result;
}

// Once in a run, and of a collapse that the run ends with or that lasts without a better epoch: some networks begin with one and
// leave it.
void Run::warn_of_collapse(EpochSigns signs) {
  never_active_ &= signs.active_share == 0;
  signs.never_active = never_active_;
  const std::string warning = collapse_warning(signs, recipe_);
  const bool better = at_.stale == 0 && recipe_.monitor != "last";
  collapsed_epochs_ = warning.empty() || better ? 0 : collapsed_epochs_ + 1;
  if (warned_ || warning.empty() || (collapsed_epochs_ < kLastingCollapse && !finished())) return;
  progress_.print("warning: " + warning);
  warned_ = true;
}

// Raw pixels, compared by cosine, on the lists that validated the best epoch.
std::optional<Verdict> Run::versus_raw_pixels() const {
  if (at_.best_ranks.empty()) return {};
  const auto pixels_of = [&](const std::vector<int64_t>& images) {
    const Tensor batch = data_.validation.images.batch(images);
    return batch.reshape({batch.shape()[0], batch.shape().row_size()});
  };
  const std::vector<Rank> pixels = ranks_of(
      data_.protocol,
      score_candidates(pixels_of(data_.left), pixels_of(data_.right), data_.protocol.lists, Similarity::cosine));
  std::vector<Rank> ours = pixels;
  for (size_t list = 0; list < ours.size(); list++) ours[list].rank = at_.best_ranks[list];
  return compare_ranks(ours, pixels);
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
  check_weights();
  Validation validation = validate();
  const json& metrics = validation.metrics;
  const bool last = recipe_.monitor == "last";
  const double value = last ? static_cast<double>(at_.epoch) : metrics[recipe_.monitor].get<double>();
  const bool better = at_.best_epoch == 0 || (recipe_.monitor == "loss" ? value < at_.best : value > at_.best);
  at_.epoch++, at_.step = 0;
  at_.stale++;
  if (better) at_.best = value, at_.best_epoch = at_.epoch, at_.stale = 0, at_.best_ranks = std::move(validation.ranks);

  const double images_per_second = 2.0 * static_cast<double>(loader_->batch_size() * steps_done_) / seconds;
  const json line{{"epoch", at_.epoch},
                  {"loss", at_.meter.mean(at_.meter.loss)},
                  {"active_share", at_.meter.mean(at_.meter.active_share)},
                  {"learning_rate", schedule_->at(at_.epoch * steps_per_epoch_ - 1)},
                  {"images_per_second", images_per_second},
                  {"seconds", seconds},
                  {"validation", metrics}};
  if (!printed_header_)
    progress_.print(fmt::format("loss: training (validation)  top-k: of {} candidates{}", data_.protocol.lists.count,
                                last ? "" : fmt::format("  *: best so far ({})", recipe_.monitor)));
  printed_header_ = true;
  progress_.print(fmt::format("epoch {}/{}  loss {} ({})  top-1 {:.1f} %  top-2 {:.1f} %  {:.0f} images/s{}", at_.epoch,
                              recipe_.epochs, short_number(line["loss"]), short_number(metrics["loss"]),
                              100 * metrics["top1"].get<double>(), 100 * metrics["top2"].get<double>(),
                              images_per_second, better && !last ? " *" : ""));
  warn_of_collapse(validation.signs);
  at_.meter = {};
  append_line(path("metrics.jsonl"), line.dump());
  if (better) write("model.safetensors", false);
  write("last.safetensors", true);
}

TrainResult Run::go() {
  const bool was_finished = finished();
  int signal = 0;
  {
    const StopSignal stop;
    while (!finished() && signal == 0) {
      began_ = std::chrono::steady_clock::now();
      steps_done_ = 0;
      while (at_.step < steps_per_epoch_ && signal == 0) {
        train_step();
        steps_done_++;
        show_step();
        if (at_.step == steps_per_epoch_) break;
        signal = StopSignal::received();
        if (signal == 0 && (recipe_.checkpoint_steps == 0 || at_.step % recipe_.checkpoint_steps != 0)) continue;
        read_losses();
        check_weights();
        write("last.safetensors", true);
      }
      if (at_.step < steps_per_epoch_) break;
      read_losses();
      end_epoch();
      if (finished()) break;
      signal = StopSignal::received();
      if (recipe_.hard_negatives && signal == 0) find_hardest(), open_loader();
    }
  }
  TrainResult result{.end = was_finished                 ? TrainEnd::was_before
                            : signal != 0                ? TrainEnd::signal
                            : at_.epoch < recipe_.epochs ? TrainEnd::patience
                                                         : TrainEnd::epochs,
                     .epochs = at_.epoch,
                     .best_epoch = at_.best_epoch,
                     .best = at_.best,
                     .step = at_.step,
                     .steps = steps_per_epoch_,
                     .signal = signal};
  if (result.end == TrainEnd::epochs || result.end == TrainEnd::patience) result.over_pixels = versus_raw_pixels();
  return result;
}

}  // namespace

TrainResult train(const Recipe& recipe, Network& network, const TrainJob& job) {
  return Run(recipe, network, job).go();
}

}  // namespace lookalike
