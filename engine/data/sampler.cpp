#include "engine/data/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_set>

#include "engine/core/error.h"
#include "engine/core/random.h"

namespace lookalike {
namespace {

std::vector<int64_t> shuffled(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  Random(seed, RandomUse::shuffle, epoch).shuffle(std::span(order));
  return order;
}

// The images of each class, classes in order of their label.
std::vector<std::vector<int64_t>> by_class(std::span<const int32_t> labels) {
  std::map<int32_t, std::vector<int64_t>> classes;
  for (int64_t i = 0; i < std::ssize(labels); i++) classes[labels[i]].push_back(i);
  std::vector<std::vector<int64_t>> result;
  for (auto& [label, images] : classes) result.push_back(std::move(images));
  return result;
}

// The order with those of each class at even distances, the first of them where it was. It stays as
// it is where no class is there twice.
std::vector<int64_t> spread(std::vector<int64_t> order, std::span<const int32_t> classes) {
  std::map<int32_t, std::vector<int64_t>> places;  // of each class, in this order
  for (int64_t place = 0; place < std::ssize(order); place++)
    places[classes[order[place]]].push_back(place);
  if (places.size() == order.size()) return order;
  const auto size = static_cast<double>(order.size());
  std::vector<std::pair<double, int64_t>> keys;
  for (const auto& [label, of_class] : places) {
    const double first = static_cast<double>(of_class[0]) / size,
                 step = 1 / static_cast<double>(of_class.size());
    for (size_t i = 0; i < of_class.size(); i++)
      keys.emplace_back(std::fmod(first + static_cast<double>(i) * step, 1.0), order[of_class[i]]);
  }
  std::ranges::sort(keys);
  for (size_t i = 0; i < keys.size(); i++) order[i] = keys[i].second;
  return order;
}

}  // namespace

Sampler pair_sampler(std::vector<std::array<int64_t, 2>> pairs, uint64_t seed,
                     std::span<const int32_t> labels) {
  const int64_t size = std::ssize(pairs);
  std::vector<int32_t> classes;  // of each pair
  for (int64_t i = 0; i < size; i++)
    classes.push_back(labels.empty() ? static_cast<int32_t>(i) : labels[pairs[i][0]]);
  return {size, [pairs = std::move(pairs), classes = std::move(classes), seed](int64_t epoch) {
            std::vector<Sample> samples;
            for (const int64_t i : spread(shuffled(std::ssize(pairs), seed, epoch), classes))
              samples.push_back({i, pairs[i]});
            return samples;
          }};
}

Sampler view_sampler(std::vector<int64_t> images, uint64_t seed) {
  std::vector<std::array<int64_t, 2>> twice;
  for (const int64_t image : images) twice.push_back({image, image});
  return pair_sampler(std::move(twice), seed);
}

Sampler class_sampler(std::span<const int32_t> labels, uint64_t seed) {
  auto classes = by_class(labels);
  int64_t size = 0;
  for (const auto& images : classes) size += std::ssize(images) / 2;
  check(size > 0, "no class has two images, of which a sample could be made");
  return {size, [classes = std::move(classes), size, seed](int64_t epoch) {
            Random random(seed, RandomUse::shuffle, epoch);
            auto left = classes;
            for (auto& images : left) random.shuffle(std::span(images));
            std::vector<Sample> samples;
            while (std::ssize(samples) < size) {
              const auto round_begin = std::ssize(samples);
              for (auto& images : left) {
                if (images.size() < 2) continue;
                const auto last = images.end();
                samples.push_back({0, {last[-1], last[-2]}});
                images.erase(last - 2, last);
              }
              // One class of many images must not take many rounds through all the others.
              std::erase_if(left, [](const auto& images) { return images.size() < 2; });
              random.shuffle(std::span(samples).subspan(round_begin));
            }
            for (int64_t i = 0; i < size; i++) samples[i].id = i;
            return samples;
          }};
}

Sampler same_different_sampler(std::span<const int32_t> labels, uint64_t seed) {
  auto classes = by_class(labels);
  check(classes.size() >= 2, "{} class, expected two or more: there is no pair of different ones", classes.size());
  std::vector<int64_t> class_of(labels.size());
  for (int64_t c = 0; c < std::ssize(classes); c++)
    for (const int64_t image : classes[c]) class_of[image] = c;
  std::vector<int64_t> in_classes, begins;  // images class by class, where each class begins
  for (const auto& images : classes) {
    begins.push_back(std::ssize(in_classes));
    in_classes.insert(in_classes.end(), images.begin(), images.end());
  }
  const int64_t size = std::ssize(labels);
  return {size, [classes = std::move(classes), class_of = std::move(class_of), in_classes = std::move(in_classes),
                 begins = std::move(begins), size, seed](int64_t epoch) {
            std::vector<Sample> samples;
            Random random(seed, RandomUse::negatives, epoch);
            for (const int64_t image : shuffled(size, seed, epoch)) {
              const int64_t own = class_of[image];
              int64_t other = image;
              if (random.below(2) == 0 && classes[own].size() > 1) {
                while (other == image) other = classes[own][random.below(classes[own].size())];
              } else {
                constexpr int kTries = 1000;
                for (int i = 0; i < kTries && class_of[other] == own; i++)
                  other = static_cast<int64_t>(random.below(size));
                // Where nearly all images are of this class, draw among the few others alone.
                if (class_of[other] == own) {
                  const auto own_begin = begins[own];
                  auto place = static_cast<int64_t>(random.below(size - std::ssize(classes[own])));
                  if (place >= own_begin) place += std::ssize(classes[own]);
                  other = in_classes[place];
                }
              }
              samples.push_back({std::ssize(samples), {image, other}});
            }
            return samples;
          }};
}

std::vector<Sample> mined_epoch(std::span<const std::array<int64_t, 2>> pairs, std::span<const int64_t> hardest,
                                int64_t batch_size, uint64_t seed, int64_t epoch) {
  const int64_t size = std::ssize(pairs);
  const std::vector<int64_t> order = shuffled(size, seed, epoch);
  std::vector<Sample> samples;
  std::unordered_set<int64_t> in_batch;
  for (int64_t at = 0; std::ssize(samples) < size; at++) {
    const int64_t anchor = order[at % size];
    for (const int64_t pair : {anchor, hardest[anchor]}) {
      if (std::ssize(samples) == size || !in_batch.insert(pair).second) continue;
      samples.push_back({pair, pairs[pair]});
      if (std::ssize(samples) % batch_size != 0) continue;
      in_batch.clear();
      break;  // a negative that did not fit would be alone in the next batch
    }
  }
  return samples;
}

std::vector<Sample> mix_batches(std::vector<Sample> samples, std::span<const int32_t> labels, int64_t batch_size) {
  const int64_t size = std::ssize(samples);
  const auto label = [&](const Sample& sample) { return labels[sample.images[0]]; };
  // A sample left over alone can't be mixed.
  const auto of_one_class = [&](int64_t begin) {
    const auto batch = std::span(samples).subspan(begin, std::min(batch_size, size - begin));
    return batch.size() > 1 && std::ranges::all_of(batch, [&](const Sample& s) { return label(s) == label(batch[0]); });
  };
  const auto first_of_one_class = [&](int64_t begin) {
    while (begin < size && !of_one_class(begin)) begin += batch_size;
    return begin;
  };
  if (first_of_one_class(0) >= size) return samples;

  std::map<int32_t, int64_t> counts;
  for (const Sample& sample : samples) counts[label(sample)]++;
  if (counts.size() == 1) return samples;
  const int32_t largest = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; })->first;
  std::vector<Sample> of_largest, others, spread;
  for (const Sample& sample : samples) (label(sample) == largest ? of_largest : others).push_back(sample);
  const int64_t other_count = std::ssize(others);
  for (int64_t i = 0, large = 0, other = 0; i < size; i++) {
    const bool turn = other < other_count && (2 * other + 1) * size < 2 * (i + 1) * other_count;
    spread.push_back(turn ? others[other++] : of_largest[large++]);
  }
  samples = std::move(spread);

  int64_t next = 0;
  for (int64_t begin = first_of_one_class(0); begin < size; begin = first_of_one_class(begin)) {
    const int64_t last = std::min(begin + batch_size, size) - 1;
    const int32_t here = label(samples[last]);
    // Whichever the class, there is another one among the others or the largest.
    samples[last] = here == largest ? others[next++ % other_count] : of_largest[next++ % std::ssize(of_largest)];
  }
  for (int64_t i = 0; i < size; i++) samples[i].id = i;
  return samples;
}

}  // namespace lookalike
