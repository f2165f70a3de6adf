#include "engine/eval/one_shot.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "engine/core/random.h"

namespace lookalike {
namespace {

// Numbers images in the order of their first appearance.
class Side {
 public:
  Side(const ClassData& data, std::vector<std::string>& names, std::vector<int64_t>& images)
      : data_(data), names_(names), images_(images), number_(data.labels.size(), -1) {}
  int64_t number(int64_t image) {
    if (number_[image] < 0) {
      number_[image] = std::ssize(images_);
      images_.push_back(image);
      names_.push_back(data_.names[image]);
    }
    return number_[image];
  }

 private:
  const ClassData& data_;
  std::vector<std::string>& names_;
  std::vector<int64_t>& images_;
  std::vector<int64_t> number_;
};

// Two different numbers below n.
std::array<int64_t, 2> draw_two(Random& random, int64_t n) {
  const auto first = static_cast<int64_t>(random.below(n)), second = static_cast<int64_t>(random.below(n - 1));
  return {first, second < first ? second : second + 1};
}

using Class = std::vector<int64_t>;  // its images

std::map<std::string, std::vector<Class>> classes_by_group(const ClassData& data) {
  std::vector<Class> classes(data.classes.size());
  for (int64_t i = 0; i < std::ssize(data.labels); i++) classes[data.labels[i]].push_back(i);
  std::map<std::string, std::vector<Class>> groups;
  for (size_t i = 0; i < classes.size(); i++)
    if (classes[i].size() >= 2) groups[group_of(data.classes[i])].push_back(std::move(classes[i]));
  std::erase_if(groups, [](const auto& group) { return group.second.size() < 2; });
  return groups;
}

}  // namespace

OneShot make_one_shot(const ClassData& data, int64_t ways, int64_t runs, uint64_t seed) {
  check(ways >= 2, "{}-way one-shot classification, expected at least 2 ways", ways);
  check(runs >= 1, "{} runs of each group, expected at least 1", runs);
  const auto groups = classes_by_group(data);
  check(!groups.empty(), "no group has two classes of two images, expected one to classify in");
  int64_t most = 0;
  for (const auto& [name, classes] : groups) most = std::max(most, std::ssize(classes));

  OneShot result;
  Protocol& protocol = result.protocol;
  protocol.lists.count = std::min(ways, most);
  check(runs <= kMostLists, "{} runs of each group, expected at most {}", runs, kMostLists);
  int64_t queries = 0;
  for (const auto& [name, classes] : groups) queries += runs * std::min(ways, std::ssize(classes));
  check_places(queries, protocol.lists.count,
               "evaluate.lists and candidates of a recipe, --runs and --ways");
  Side left(data, protocol.left, result.left), right(data, protocol.right, result.right);
  Candidates named;
  std::vector<Pair> truth;
  int64_t group = 0;
  for (const auto& [name, classes] : groups) {
    const size_t images_of_first = classes[0].size();
    const bool by_drawer =
        std::ranges::all_of(classes, [=](const Class& images) { return images.size() == images_of_first; });
    for (int64_t run = 0; run < runs; run++) {
      Random random(seed, RandomUse::candidates, group, run);
      std::vector<int64_t> order(classes.size());
      std::iota(order.begin(), order.end(), 0);
      random.shuffle(std::span(order));
      order.resize(std::min<size_t>(ways, order.size()));
      const auto drawers = draw_two(random, std::ssize(classes[0]));
      std::vector<int64_t> asked, known;
      for (const int64_t i : order) {
        const auto [a, b] = by_drawer ? drawers : draw_two(random, std::ssize(classes[i]));
        asked.push_back(classes[i][a]);
        known.push_back(classes[i][b]);
      }
      for (size_t query = 0; query < asked.size(); query++) {
        protocol.lists.query.push_back(left.number(asked[query]));
        protocol.lists.truth.push_back(static_cast<int64_t>(query));
        truth.push_back({data.names[asked[query]], data.names[known[query]]});
        named.left.push_back(truth.back().left);
        auto& candidates = named.right.emplace_back();
        for (const int64_t image : known) {
          protocol.lists.candidates.push_back(right.number(image));
          candidates.push_back(data.names[image]);
        }
        protocol.lists.candidates.resize(protocol.lists.lists() * protocol.lists.count, kNoCandidate);
      }
    }
    group++;
  }
  protocol.pairs_hash = content_hash(truth);
  protocol.candidates_hash = content_hash(named);
  return result;
}

}  // namespace lookalike
