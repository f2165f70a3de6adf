#include "engine/eval/ranked_images.h"

#include <algorithm>
#include <limits>
#include <map>

#include "engine/core/error.h"
#include "engine/data/image_files.h"

namespace lookalike {
namespace {

// The file of each name in a folder. With `skip`, a name without one is a path that can't be read, which the image store says.
std::vector<std::string> files_of_names(const std::string& folder, const std::vector<std::string>& names,
                                        const std::string& where, OnCorrupt on_corrupt) {
  const ImageFolder images(folder);
  std::vector<std::string> files;
  for (const std::string& name : names) {
    try {
      files.push_back(images.find(name, where));
    } catch (const Error& error) {
      if (on_corrupt == OnCorrupt::stop) fail("{} (--skip-corrupt ranks such ones last)", error.what());
      files.push_back(folder + "/" + name);
    }
  }
  return files;
}

bool is_read(const RankedImages& ranked, int64_t image) {
  return ranked.images.error(image).empty();
}

}  // namespace

RankedImages open_pairs_to_rank(const std::string& folder, const std::string& pairs_csv, const Preprocess& preprocess,
                                int64_t count, int64_t lists, uint64_t seed, OnCorrupt on_corrupt) {
  PairData data = load_pairs(folder, pairs_csv, preprocess, on_corrupt);
  RankedImages ranked{.protocol = make_protocol(data.pairs, count, lists, seed)};
  ranked.left = data.images_of(0), ranked.right = data.images_of(1);
  ranked.images = std::move(data.images);
  ranked.skipped = std::move(data.skipped);
  ranked.passed_over = std::move(data.passed_over);
  return ranked;
}

RankedImages open_candidates_to_rank(const std::string& folder, const std::string& candidates_csv,
                                     const std::string& truth_csv, const Preprocess& preprocess, OnCorrupt on_corrupt) {
  RankedImages ranked{.protocol = read_protocol(candidates_csv, truth_csv)};
  const Protocol& protocol = ranked.protocol;
  std::vector<std::string> files = files_of_names(folder + "/left", protocol.left, candidates_csv, on_corrupt);
  for (std::string& file : files_of_names(folder + "/right", protocol.right, candidates_csv, on_corrupt))
    files.push_back(std::move(file));
  ranked.images = ImageStore(files, preprocess, on_corrupt);
  const auto lefts = std::ssize(protocol.left);
  for (int64_t i = 0; i < ranked.images.size(); i++) {
    (i < lefts ? ranked.left : ranked.right).push_back(i);
    if (!is_read(ranked, i)) ranked.skipped.push_back(ranked.images.error(i));
  }
  return ranked;
}

void mark_unread(const RankedImages& ranked, Tensor& scores) {
  const CandidateLists& lists = ranked.protocol.lists;
  const auto all = scores.span<float>();
  for (int64_t list = 0; list < lists.lists(); list++)
    for (int64_t i = 0; i < lists.length(list); i++) {
      const int64_t cell = list * lists.count + i;
      if (!is_read(ranked, ranked.left[lists.query[list]]) || !is_read(ranked, ranked.right[lists.candidates[cell]]))
        all[cell] = -std::numeric_limits<float>::infinity();
    }
}

int64_t QueryStates::count(QuerySeen state) const {
  int64_t count = 0;
  for (size_t i = 0; i < seen.size(); i++) count += measured[i] && seen[i] == state;
  return count;
}

std::vector<std::pair<std::string, Tensor>> pixel_scores(const RankedImages& ranked,
                                                         const Tensor& mean, int64_t bytes) {
  const CandidateLists& lists = ranked.protocol.lists;
  const int64_t image_bytes = 4 * ranked.images.preprocess().image_size();
  const int64_t most = std::max<int64_t>(2, bytes / image_bytes);
  const auto pixels_of = [&](const std::vector<int64_t>& images) {
    const Tensor batch = ranked.images.batch(images);
    return batch.reshape({batch.shape()[0], batch.shape().row_size()});
  };
  std::vector<std::pair<std::string, Tensor>> all;
  // Some cells of the lists at a time, each a list of its own, whose images come once.
  for (int64_t cell = 0; cell < std::ssize(lists.candidates);) {
    Protocol block{.lists = {.count = 1}};
    std::vector<int64_t> left, right, cells;
    std::map<int64_t, int64_t> numbers[2];
    const auto number = [&](int side, int64_t image, std::vector<int64_t>& images) {
      const auto [at, fresh] = numbers[side].try_emplace(image, std::ssize(images));
      if (fresh) images.push_back(image);
      return at->second;
    };
    for (; cell < std::ssize(lists.candidates) && std::ssize(left) + std::ssize(right) + 2 <= most;
         cell++) {
      if (lists.candidates[cell] == kNoCandidate) continue;
      cells.push_back(cell);
      block.lists.query.push_back(number(0, ranked.left[lists.query[cell / lists.count]], left));
      block.lists.candidates.push_back(number(1, ranked.right[lists.candidates[cell]], right));
    }
    if (cells.empty()) continue;
    const auto scores = baseline_scores(block, pixels_of(left), pixels_of(right), mean);
    for (size_t i = 0; i < scores.size(); i++) {
      if (all.size() <= i) {
        all.emplace_back(scores[i].first, Tensor({lists.lists(), lists.count}));
        all[i].second.fill(-std::numeric_limits<double>::infinity());
      }
      for (size_t c = 0; c < cells.size(); c++)
        all[i].second.data<float>()[cells[c]] = scores[i].second.data<float>()[c];
    }
  }
  return all;
}

Gallery gallery_of(const RankedImages& ranked, const std::vector<bool>& keep) {
  Gallery gallery;
  std::vector<int64_t> place(ranked.right.size(), -1);
  for (size_t row = 0; row < place.size(); row++) {
    if (!is_read(ranked, ranked.right[row])) continue;
    place[row] = std::ssize(gallery.rows);
    gallery.rows.push_back(static_cast<int64_t>(row));
  }
  for (size_t query = 0; query < keep.size(); query++) {
    if (!keep[query]) continue;
    std::vector<int64_t> partners;
    for (const int64_t row : ranked.protocol.partners[query])
      if (place[row] >= 0) partners.push_back(place[row]);
    gallery.truth.add_query(partners);
  }
  return gallery;
}

QueryStates states_of_queries(const RankedImages& ranked, const SeenImages& seen) {
  const CandidateLists& lists = ranked.protocol.lists;
  const size_t queries = ranked.protocol.left.size();
  const Protocol& protocol = ranked.protocol;
  QueryStates states{std::vector(queries, QuerySeen::no), std::vector<bool>(queries)};
  std::vector<bool> unread(queries);
  for (int64_t list = 0; list < lists.lists(); list++) {
    const int64_t query = lists.query[list];
    std::vector<int64_t> images{ranked.left[query]};
    bool any_partner = false;
    for (int64_t place = 0; place < lists.length(list); place++) {
      if (!is_partner(protocol, list, place)) continue;
      images.push_back(ranked.right[lists.candidates[list * lists.count + place]]);
      any_partner |= is_read(ranked, images.back());
    }
    // In each of its lists there must be something to find.
    if (!is_read(ranked, images[0]) || !any_partner) unread[query] = true;
    states.measured[query] = !unread[query];
    const auto any_image = [&](const auto& is_seen) {
      return std::ranges::any_of(images, [&](int64_t image) {
        return is_read(ranked, image) && is_seen(ranked.images.content_hash(image));
      });
    };
    if (any_image([&](uint64_t hash) { return seen.trained_on(hash); }))
      states.seen[query] = QuerySeen::in_training;
    else if (states.seen[query] == QuerySeen::no &&
             any_image([&](uint64_t hash) { return seen.validated_on(hash); }))
      states.seen[query] = QuerySeen::in_validation;
  }
  return states;
}

ScoredProtocol select_queries(const Protocol& protocol, const Tensor& scores, const std::vector<bool>& keep) {
  ScoredProtocol result{protocol, {}};
  result.protocol.left.clear(), result.protocol.partners.clear();
  std::vector<int64_t> number(keep.size(), -1), rows;
  for (size_t query = 0; query < keep.size(); query++) {
    if (!keep[query]) continue;
    number[query] = std::ssize(result.protocol.left);
    result.protocol.left.push_back(protocol.left[query]);
    if (!protocol.partners.empty()) result.protocol.partners.push_back(protocol.partners[query]);
  }
  CandidateLists& lists = result.protocol.lists;
  lists.query.clear(), lists.truth.clear(), lists.candidates.clear();
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    const int64_t query = number[protocol.lists.query[list]];
    if (query < 0) continue;
    rows.push_back(list);
    lists.query.push_back(query);
    lists.truth.push_back(protocol.lists.truth[list]);
    const auto begin = protocol.lists.candidates.begin() + list * lists.count;
    lists.candidates.insert(lists.candidates.end(), begin, begin + lists.count);
  }
  result.scores = rows_of(scores, rows);
  return result;
}

}  // namespace lookalike
