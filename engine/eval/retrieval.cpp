#include "engine/eval/retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <span>

#include "kernels/l2_normalize.h"
#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike {
namespace {

void check_rows(const Tensor& rows, const char* what, bool may_be_f16 = false) {
  check(rows.defined() && rows.shape().rank() == 2 &&
            (rows.dtype() == DType::f32 || (may_be_f16 && rows.dtype() == DType::f16)),
        "{}: expected an f32 matrix", what);
}

void check_same_width(const Tensor& left, const Tensor& right, const char* left_name,
                      const char* right_name, bool right_may_be_f16 = false) {
  check_rows(left, left_name);
  check_rows(right, right_name, right_may_be_f16);
  check(left.shape()[1] == right.shape()[1], "{} {} and {} {}: rows of different length", left_name, left.shape(),
        right_name, right.shape());
}

float similarity_of(const float* a, const float* b, int64_t d, Similarity similarity) {
  double sum = 0;
  if (similarity == Similarity::cosine) {
    for (int64_t i = 0; i < d; i++) sum += double{a[i]} * b[i];
    return static_cast<float>(sum);
  }
  for (int64_t i = 0; i < d; i++) {
    const double difference = double{a[i]} - b[i];
    sum += difference * difference;
  }
  return static_cast<float>(-std::sqrt(sum));
}

struct Entry {
  float score;
  int64_t index;
};

constexpr auto better = [](const Entry& a, const Entry& b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
};

// The best k of all scores offered, in rising order of index. Nearly all scores fall below the threshold, so entries
// pile up unsorted and are cut back to k when there are twice as many.
class BestK {
 public:
  explicit BestK(int64_t k) : k_(k), capacity_(2 * k + cpu::kPanelRows) {}

  void offer(const float* scores, int64_t count, int64_t first_index) {
    if (std::ssize(entries_) >= k_) {
      bool any = false;
      for (int64_t i = 0; i < count; i++) any |= scores[i] > threshold_;
      if (!any) return;
    }
    for (int64_t i = 0; i < count; i++) {
      const float score = std::isnan(scores[i]) ? -std::numeric_limits<float>::infinity() : scores[i];
      // One equal to the threshold comes after k that are at least as good.
      if (std::ssize(entries_) < k_ || score > threshold_) entries_.push_back({score, first_index + i});
    }
    if (std::ssize(entries_) + cpu::kPanelRows > capacity_) prune();
  }

  // Nothing may be offered after it.
  void merge(const BestK& other) { entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end()); }

  // Best first.
  std::span<const Entry> sorted() {
    if (std::ssize(entries_) > k_) prune();
    std::ranges::sort(entries_, better);
    return entries_;
  }

 private:
  void prune() {
    std::ranges::nth_element(entries_, entries_.begin() + k_ - 1, better);
    entries_.resize(k_);
    threshold_ = entries_.back().score;
  }

  int64_t k_, capacity_;
  std::vector<Entry> entries_;
  float threshold_ = -std::numeric_limits<float>::infinity();
};

// Best rows of the whole database for queries [q, d]; few enough queries that they stay in a core's cache.
std::vector<BestK> search_block(const float* queries, int64_t q, const Tensor& database, int64_t k,
                                bool distances) {
  const int64_t n = database.shape()[0], d = database.shape()[1];
  std::vector<BestK> best(q, BestK(k));
  std::mutex mutex;
  cpu::parallel_for((n + cpu::kPanelRows - 1) / cpu::kPanelRows, 16, [&](int64_t begin, int64_t end) {
    std::vector<BestK> own(q, BestK(k));
    cpu::PanelScores scores(queries, q, d, distances);
    std::vector<float> widened(database.dtype() == DType::f16 ? d * cpu::kPanelRows : 0);
    for (int64_t row = begin * cpu::kPanelRows; row < std::min(end * cpu::kPanelRows, n); row += cpu::kPanelRows) {
      const int64_t rows = std::min(cpu::kPanelRows, n - row);
      const float* from = widened.data();
      if (widened.empty())
        from = database.data<float>() + row * d;
      else
        cpu::widen(database.data<f16>() + row * d, rows * d, widened.data());
      scores.with(from, rows, [&](int64_t query, const float* of_query) {
        own[query].offer(of_query, rows, row);
      });
    }
    // The order of the threads does not matter: the order of entries is total.
    std::lock_guard lock(mutex);
    for (int64_t query = 0; query < q; query++) best[query].merge(own[query]);
  });
  return best;
}

Neighbors search(const Tensor& queries, const Tensor& database, int64_t k, bool distances) {
  check_same_width(queries, database, "queries", "database", true);
  const int64_t q = queries.shape()[0], n = database.shape()[0], d = database.shape()[1];
  check(k >= 1 && k <= n, "k is {}, expected from 1 to the {} rows of the database", k, n);
  // 256 queries of a few hundred values fit the second-level cache, and each pass over the database serves them all.
  constexpr int64_t kBlock = 256;
  Neighbors found{Tensor({q, k}, DType::i64), Tensor({q, k})};
  for (int64_t begin = 0; begin < q; begin += kBlock) {
    auto best = search_block(queries.data<float>() + begin * d, std::min(kBlock, q - begin), database, k, distances);
    cpu::parallel_for(std::ssize(best), 16, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) {
        int64_t at = (begin + i) * k;
        for (const Entry& entry : best[i].sorted()) {
          found.indices.data<int64_t>()[at] = entry.index;
          found.scores.data<float>()[at++] = entry.score;
        }
      }
    });
  }
  return found;
}

}  // namespace

Tensor normalize_rows(const Tensor& rows) {
  check_rows(rows, "embeddings");
  Tensor unit(rows.shape()), scale({rows.shape()[0]});
  cpu::l2_normalize_forward(rows.data<float>(), rows.shape()[0], rows.shape()[1], 1e-12, unit.data<float>(),
                            scale.data<float>());
  return unit;
}

int64_t CandidateLists::length(int64_t list) const {
  const auto row = std::span(candidates).subspan(list * count, count);
  return std::ranges::find(row, kNoCandidate) - row.begin();
}

Tensor score_candidates(const Tensor& left, const Tensor& right, const CandidateLists& lists, Similarity similarity) {
  check_same_width(left, right, "left embeddings", "right embeddings");
  const int64_t d = left.shape()[1];
  check(std::ssize(lists.candidates) == lists.lists() * lists.count, "{} candidates in {} lists of {}",
        lists.candidates.size(), lists.lists(), lists.count);
  for (const int64_t row : lists.query)
    check(row >= 0 && row < left.shape()[0], "query {} of {} left embeddings", row, left.shape()[0]);
  for (const int64_t row : lists.candidates)
    check(row >= kNoCandidate && row < right.shape()[0], "candidate {} of {} right embeddings", row, right.shape()[0]);

  const bool cosine = similarity == Similarity::cosine;
  const Tensor a = cosine ? normalize_rows(left) : left, b = cosine ? normalize_rows(right) : right;
  Tensor scores({lists.lists(), lists.count});
  const float *from = a.data<float>(), *to = b.data<float>();
  float* out = scores.data<float>();
  cpu::parallel_for(scores.size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t row = lists.candidates[i];
      out[i] = row == kNoCandidate
                   ? -std::numeric_limits<float>::infinity()
                   : similarity_of(from + lists.query[i / lists.count] * d, to + row * d, d, similarity);
    }
  });
  return scores;
}

Neighbors search_top_k(const Tensor& queries, const Tensor& database, int64_t k) {
  return search(queries, database, k, false);
}

Neighbors search_nearest(const Tensor& queries, const Tensor& database, int64_t k) {
  Neighbors found = search(queries, database, k, true);
  for (float& score : found.scores.span<float>()) score = -std::sqrt(-score);
  return found;
}

Neighbors search_similar(const Tensor& queries, const Tensor& database, int64_t k,
                         Similarity similarity) {
  return (similarity == Similarity::cosine ? search_top_k : search_nearest)(queries, database, k);
}

void MeanRow::add(const Tensor& rows) {
  check_rows(rows, "mean of rows");
  const int64_t n = rows.shape()[0], d = rows.shape()[1];
  check(count_ == 0 || d == std::ssize(sums_), "mean of rows of {} and {}", sums_.size(), d);
  sums_.resize(d);
  for (int64_t row = 0; row < n; row++)
    for (int64_t i = 0; i < d; i++) sums_[i] += rows.data<float>()[row * d + i];
  count_ += n;
}

Tensor MeanRow::mean() const {
  check(count_ > 0, "mean of no rows");
  Tensor mean({std::ssize(sums_)});
  for (size_t i = 0; i < sums_.size(); i++)
    mean.data<float>()[i] = static_cast<float>(sums_[i] / static_cast<double>(count_));
  return mean;
}

Tensor mean_row(const Tensor& rows) {
  MeanRow sums;
  sums.add(rows);
  return sums.mean();
}

Tensor minus_row(const Tensor& rows, const Tensor& row) {
  check_rows(rows, "rows");
  const int64_t d = rows.shape()[1];
  check(row.shape() == Shape{d}, "row {} subtracted from rows {}", row.shape(), rows.shape());
  Tensor result = rows.clone();
  for (int64_t i = 0; i < result.size(); i++) result.data<float>()[i] -= row.data<float>()[i % d];
  return result;
}

}  // namespace lookalike
