#include "engine/search/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/progress.h"
#include "engine/search/index_file.h"
#include "kernels/gpu/device.h"
#include "kernels/parallel.h"
#include "kernels/similarity.h"
#include "kernels/top_k.h"

namespace lookalike {
namespace {

// What a device ranks behind k may be ahead of it by the CPU's rounding.
constexpr int64_t kSlack = 24;

struct Hit {
  float score;
  int64_t row;
};
bool is_better(const Hit& a, const Hit& b) {
  return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// Dot products of a query with these rows, as search_top_k() has them.
void score(const float* query, const Tensor& rows, std::span<Hit> hits) {
  const int64_t d = rows.shape()[1];
  std::vector<float> one(d), scores(cpu::kPanelRows);
  for (Hit& hit : hits) {
    const float* row = one.data();
    if (rows.dtype() == DType::f16)
      cpu::widen(rows.data<f16>() + hit.row * d, d, one.data());
    else
      row = rows.data<float>() + hit.row * d;
    cpu::score_rows(query, 1, d, row, 1, false, scores.data());
    hit.score = std::isnan(scores[0]) ? -std::numeric_limits<float>::infinity() : scores[0];
  }
}

using Found = std::vector<std::vector<Hit>>;  // of each query

// Adds the places of the best of some rows on the GPU, which are numbered from `first` on.
void collect(const Tensor& queries, const Tensor& rows, int64_t k, int64_t first, Found& found) {
  if constexpr (gpu::kBuilt) {
    const int64_t q = queries.shape()[0], n = rows.shape()[0], d = rows.shape()[1],
                  wanted = std::min({k + kSlack, n, cuda::kTopKMost});
    Tensor scores({q, wanted}, DType::f32, Device::cuda),
        indices({q, wanted}, DType::i64, Device::cuda),
        workspace({cuda::top_k_workspace(q, n, wanted)}, DType::i64, Device::cuda);
    cuda::top_k(queries.data<float>(), rows.data<float>(), q, n, d, wanted,
                reinterpret_cast<uint64_t*>(workspace.data<int64_t>()), scores.data<float>(),
                indices.data<int64_t>(), gpu::compute_stream());
    const Tensor here = indices.to(Device::cpu);
    const auto places = here.span<int64_t>();
    for (int64_t i = 0; i < q * wanted; i++) found[i / wanted].push_back({0, first + places[i]});
  }
}

// The best k of what was found, scored anew among `rows` on the CPU.
Neighbors best_of(Found& found, const Tensor& queries, const Tensor& rows, int64_t k) {
  const int64_t q = queries.shape()[0], d = queries.shape()[1];
  Neighbors result{Tensor({q, k}, DType::i64), Tensor({q, k})};
  cpu::parallel_for(q, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      score(queries.data<float>() + i * d, rows, found[i]);
      std::ranges::sort(found[i], is_better);
      for (int64_t j = 0; j < k; j++) {
        result.indices.data<int64_t>()[i * k + j] = found[i][j].row;
        result.scores.data<float>()[i * k + j] = found[i][j].score;
      }
    }
  });
  return result;
}

// Distances stay on the CPU: from dot products, as the GPU has them, near ones would be rounding.
Device device_for(Similarity similarity, Device device) {
  return similarity == Similarity::cosine ? device : Device::cpu;
}

}  // namespace

Searcher::Searcher(const Tensor& rows, Similarity similarity, Device device, int64_t block_bytes)
    : rows_(rows), similarity_(similarity), device_(device_for(similarity, device)) {
  if (device_ == Device::cpu) return;
  const int64_t n = rows.shape()[0], row_bytes = rows.shape()[1] * size_of(DType::f32);
  block_rows_ = std::clamp<int64_t>(block_bytes / row_bytes, 1, std::max<int64_t>(n, 1));
  if (block_rows_ == n) resident_ = block_on_gpu(0);
}

Tensor Searcher::block_on_gpu(int64_t block) const {
  const int64_t begin = block * block_rows_, end = std::min(begin + block_rows_, rows_.shape()[0]);
  return as_f32(rows_.rows(begin, end)).to(device_);
}

Neighbors Searcher::find(const Tensor& queries, int64_t k) const {
  const int64_t most = std::min(k, rows_.shape()[0]);
  check(k >= 1 && k <= kMostMatches, "k is {}, expected from 1 to {}", k, +kMostMatches);
  if (device_ != Device::cpu) return find_on_gpu(queries, most);
  return search_similar(queries, rows_, most, similarity_);
}

Neighbors Searcher::find_on_gpu(const Tensor& queries, int64_t k) const {
  Found found(queries.shape()[0]);
  const Tensor asked = queries.to(device_);
  for (int64_t block = 0; block * block_rows_ < rows_.shape()[0]; block++)
    collect(asked, resident_.defined() ? resident_ : block_on_gpu(block), k, block * block_rows_,
            found);
  return best_of(found, queries, rows_, k);
}

namespace {

// All scores of a block of rows with each other, [n,n]; those above the diagonal are made alone.
void score_block(const Tensor& rows, Similarity similarity, std::vector<float>& scores) {
  const int64_t n = rows.shape()[0], d = rows.shape()[1];
  const bool distances = similarity == Similarity::negative_distance;
  scores.resize(n * n);
  const int64_t panels = (n + cpu::kPanelRows - 1) / cpu::kPanelRows;
  cpu::parallel_pieces(panels, [&](int64_t piece) {
    const int64_t first = piece * cpu::kPanelRows, count = std::min(cpu::kPanelRows, n - first);
    cpu::PanelScores panel(rows.data<float>(), first + count, d, distances);
    panel.with(rows.data<float>() + first * d, count, [&](int64_t query, const float* of_query) {
      for (int64_t j = 0; j < count; j++)
        scores[query * n + first + j] = distances ? -std::sqrt(-of_query[j]) : of_query[j];
    });
  });
}

// The first of each group, moved to the front of all rows, on the device that looks for them too.
class Representatives {
 public:
  Representatives(const Tensor& rows, Similarity similarity, Device device)
      : rows_(rows), similarity_(similarity) {
    if (device_for(similarity, device) == Device::cuda)
      on_gpu_ = Tensor(rows.shape(), DType::f32, Device::cuda);
  }

  int64_t count() const { return count_; }
  // Rows are added in their order, each behind all before it.
  void add(int64_t row) {
    if (row != count_) rows_.rows(count_, count_ + 1).copy_from(rows_.rows(row, row + 1));
    count_++;
  }
  // The one that is most like each row. There must be one.
  Neighbors best(const Tensor& rows) {
    const Tensor all = rows_.rows(0, count_);
    if (!on_gpu_.defined()) return search_similar(rows, all, 1, similarity_);
    on_gpu_.rows(sent_, count_).copy_from(all.rows(sent_, count_));
    sent_ = count_;
    Found found(rows.shape()[0]);
    collect(rows.to(Device::cuda), on_gpu_.rows(0, count_), 1, 0, found);
    return best_of(found, rows, all, 1);
  }

 private:
  Tensor rows_, on_gpu_;
  int64_t count_ = 0, sent_ = 0;
  Similarity similarity_;
};

}  // namespace

std::vector<DuplicateGroup> find_duplicates(Tensor rows, Similarity similarity, float threshold,
                                            Device device) {
  constexpr int64_t kBlock = 1024;
  const int64_t n = rows.shape()[0];
  Representatives representatives(rows, similarity, device);
  std::vector<int64_t> row_of;  // of each representative
  std::vector<std::vector<DuplicateGroup::Member>> members;
  std::vector<float> scores;
  ProgressCount progress("comparing", "images", n);
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t size = std::min(kBlock, n - begin);
    const Tensor block = rows.rows(begin, begin + size);
    // The best representative of each row so far, by its number.
    std::vector<Hit> best(size, Hit{-std::numeric_limits<float>::infinity(), -1});
    if (representatives.count() > 0) {
      const Neighbors earlier = representatives.best(block);
      for (int64_t i = 0; i < size; i++)
        best[i] = {earlier.scores.data<float>()[i], earlier.indices.data<int64_t>()[i]};
    }
    score_block(block, similarity, scores);
    for (int64_t i = 0; i < size; i++) {
      if (best[i].row >= 0 && best[i].score >= threshold) {
        members[best[i].row].push_back({begin + i, best[i].score});
        continue;
      }
      for (int64_t j = i + 1; j < size; j++)
        if (const Hit entry{scores[i * size + j], representatives.count()};
            entry.score > best[j].score)
          best[j] = entry;
      representatives.add(begin + i);
      row_of.push_back(begin + i);
      members.emplace_back();
    }
    progress.add(size);
  }
  std::vector<DuplicateGroup> groups;
  for (size_t i = 0; i < members.size(); i++)
    if (!members[i].empty()) groups.push_back({row_of[i], std::move(members[i])});
  return groups;
}

const std::array<const char*, kOrientations> kOrientationNames{
    "upright",  "turned 90",           "turned 180",           "turned 270",
    "mirrored", "mirrored, turned 90", "mirrored, turned 180", "mirrored, turned 270"};

Image orient(const Image& image, int orientation) {
  const bool mirrored = orientation >= 4;
  const int turns = orientation % 4;
  const int64_t h = image.height, w = image.width;
  Image result{turns % 2 ? w : h, turns % 2 ? h : w, image.channels, {}};
  result.pixels.resize(image.pixels.size());
  for (int64_t y = 0; y < h; y++)
    for (int64_t x = 0; x < w; x++) {
      const int64_t from_x = mirrored ? w - 1 - x : x;
      int64_t to_y = y, to_x = x;
      if (turns == 1) to_y = x, to_x = h - 1 - y;
      if (turns == 2) to_y = h - 1 - y, to_x = w - 1 - x;
      if (turns == 3) to_y = w - 1 - x, to_x = y;
      std::copy_n(image.pixels.begin() + (y * w + from_x) * image.channels, image.channels,
                  result.pixels.begin() + (to_y * result.width + to_x) * image.channels);
    }
  return result;
}

}  // namespace lookalike
