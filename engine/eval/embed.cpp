#include "engine/eval/embed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <mutex>
#include <numeric>
#include <vector>

#include <omp.h>

#include "engine/core/finite.h"
#include "engine/core/progress.h"
#include "kernels/parallel.h"

namespace lookalike {

namespace {

// `batch(begin, end)` gives the network's input, `forward` what becomes of it.
template <class Batch, class Forward>
Tensor in_batches(int64_t count, const Compute& compute, const Batch& batch, const Forward& forward) {
  constexpr int64_t kBatch = 64;
  NoGrad no_grad;
  Tensor result;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, count);
    const Tensor out = forward(Variable(place_input(batch(begin, end), compute))).value();
    if (!result.defined()) result = Tensor(out.shape().with_rows(count), out.dtype());
    result.rows(begin, end).copy_from(out);
  }
  return result;
}

}  // namespace

Variable forward_in_parallel(Module& network, const Variable& images, const Mode& mode) {
  const NoGrad no_grad;
  const int64_t count = images.shape()[0], threads = omp_get_max_threads();
  constexpr int64_t kPixels = 160 * 160;  // at a time: less is too little between the starts of two layers
  const int64_t pixels = images.shape()[1] * images.shape()[2];
  const int64_t at_once = std::max<int64_t>(1, kPixels / std::max<int64_t>(1, pixels));
  const int64_t needed = (count + at_once - 1) / at_once;
  if (images.device() != Device::cpu || needed < std::max<int64_t>(threads, 2)) return network.forward(images, mode);
  const int64_t pieces = std::min((needed + threads - 1) / threads * threads, count);  // as many for each thread
  Tensor result;
  std::mutex making;
  const ConvBackend conv = chosen_conv();
  cpu::parallel_pieces(pieces, [&](int64_t piece) {
    const NoGrad no_grad_here;
    choose_conv(conv);  // which is each thread's own
    const int64_t begin = count * piece / pieces, end = count * (piece + 1) / pieces;
    const Tensor rows = network.forward(Variable(images.value().rows(begin, end)), mode).value();
    {
      std::lock_guard lock(making);
      if (!result.defined()) result = Tensor(rows.shape().with_rows(count), rows.dtype());
    }
    result.rows(begin, end).copy_from(rows);
  });
  return Variable(result);
}

Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images, const Compute& compute,
             PairSide side) {
  check(!images.empty(), "no images to embed");
  ProgressCount progress("embedding", "images", std::ssize(images));
  return in_batches(
      std::ssize(images), compute,
      [&](int64_t begin, int64_t end) { return store.batch(images.subspan(begin, end - begin)); },
      [&](const Variable& x) {
        const Variable embeddings = forward_in_parallel(network, x, {.side = side});
        progress.add(x.shape()[0]);
        return embeddings;
      });
}

Tensor embed_files(Module& network, std::span<const std::string> files, const Preprocess& preprocess,
                   const Compute& compute, EmbedTimes* times, PairSide side, std::map<int64_t, std::string>* unread,
                   std::vector<uint64_t>* hashes) {
  constexpr size_t kPiece = 256;
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto start = Clock::now();
  EmbedTimes taken;
  ProgressCount progress("embedding", "images", std::ssize(files));
  const auto decode = [&](size_t begin) {
    const auto from = Clock::now();
    ImageStore store(files.subspan(begin, std::min(kPiece, files.size() - begin)), preprocess,
                     unread ? OnCorrupt::skip : OnCorrupt::stop);
    return std::pair(std::move(store), since(from));
  };
  std::future<std::pair<ImageStore, double>> next = std::async(std::launch::async, decode, size_t{0});
  Tensor result;
  for (size_t begin = 0; begin < files.size(); begin += kPiece) {
    const auto [store, seconds] = next.get();
    taken.decoding += seconds;
    if (begin + kPiece < files.size()) next = std::async(std::launch::async, decode, begin + kPiece);
    const auto from = Clock::now();
    const Tensor piece = embed(network, store, store.all(), compute, side);
    taken.network += since(from);
    progress.add(store.size());
    for (int64_t i = 0; hashes && i < store.size(); i++) hashes->push_back(store.content_hash(i));
    for (int64_t i = 0; i < store.size(); i++)
      if (!store.error(i).empty()) (*unread)[static_cast<int64_t>(begin) + i] = store.error(i);
    if (!result.defined()) result = Tensor(piece.shape().with_rows(std::ssize(files)));
    result.rows(static_cast<int64_t>(begin), static_cast<int64_t>(begin) + store.size()).copy_from(piece);
  }
  taken.total = since(start);
  if (times) *times = taken;
  return result;
}

Tensor embed_features(Network& network, const Tensor& features, const Compute& compute) {
  return in_batches(
      features.shape()[0], compute, [&](int64_t begin, int64_t end) { return features.rows(begin, end); },
      [&](const Variable& x) { return network.forward_trained(x, {}); });
}

Tensor comparable_rows(const Network& network, const Tensor& embeddings) {
  if (network.similarity != Similarity::cosine || network.matcher) return embeddings;
  const int64_t d = embeddings.shape()[1];
  // Rows that the network made so stay as they are, to the bit.
  const auto is_unit = [&](int64_t row) {
    const float* x = embeddings.data<float>() + row * d;
    const double squared = std::inner_product(x, x + d, x, 0.0);
    return std::abs(squared - 1) < 1e-5;
  };
  bool all_unit = true;
  for (int64_t row = 0; row < embeddings.shape()[0] && all_unit; row++) all_unit = is_unit(row);
  return all_unit ? embeddings : normalize_rows(embeddings);
}

void check_finite(const Tensor& embeddings, std::span<const std::string> names) {
  const int64_t row = first_row_not_finite(embeddings);
  check(row < 0, "{}: its embedding holds NaN or infinity, expected a model whose weights are finite",
        names[std::max<int64_t>(row, 0)]);
}

Tensor score_lists(Network& network, const Tensor& left, const Tensor& right, const CandidateLists& lists,
                   const Compute& compute) {
  if (!network.matcher) return score_candidates(left, right, lists, network.similarity);
  NoGrad no_grad;
  Tensor scores({lists.lists(), lists.count});
  scores.fill(-std::numeric_limits<double>::infinity());
  constexpr int64_t kPairs = 256 * 20;  // at a time: each is a row of features
  const int64_t all = std::ssize(lists.candidates);
  for (int64_t begin = 0; begin < all; begin += kPairs) {
    std::vector<int64_t> queries, candidates, cells;
    for (int64_t i = begin; i < std::min(begin + kPairs, all); i++) {
      if (lists.candidates[i] == kNoCandidate) continue;
      queries.push_back(lists.query[i / lists.count]);
      candidates.push_back(lists.candidates[i]);
      cells.push_back(i);
    }
    const auto place = [&](const Tensor& rows) { return Variable(rows.to(compute.device)); };
    const Variable logits = network.matcher->logits(place(rows_of(left, queries)), place(rows_of(right, candidates)));
    const Tensor here = logits.value().to(Device::cpu);
    for (size_t i = 0; i < cells.size(); i++) scores.data<float>()[cells[i]] = here.data<float>()[i];
  }
  return scores;
}

std::vector<int64_t> rank_gallery(Network& network, const Tensor& queries, const Tensor& images,
                                  const GalleryTruth& truth, const Compute& compute) {
  if (!network.matcher) return gallery_ranks(queries, images, truth, network.similarity);
  CandidateLists all{.count = images.shape()[0], .query = {0}, .truth = {0}};
  all.candidates.resize(all.count);
  std::iota(all.candidates.begin(), all.candidates.end(), 0);
  Tensor scores;
  return gallery_ranks(all.count, truth, [&](int64_t query) {
    all.query[0] = query;
    scores = score_lists(network, queries, images, all, compute);
    return std::span<const float>(scores.span<float>());
  });
}

// The sums are the trace of the covariance and that of its square, so no eigenvalue need be known; and of the products of rows with each
// other, which has the same ones and is smaller where there are fewer rows than dimensions.
double embedding_rank(const Tensor& embeddings) {
  const int64_t n = embeddings.shape()[0], d = embeddings.shape()[1];
  const float* e = embeddings.data<float>();
  std::vector<double> mean(d);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) mean[j] += e[i * d + j] / static_cast<double>(n);
  const bool rows = n < d;
  const int64_t size = rows ? n : d, length = rows ? d : n;
  std::vector<double> vectors(size * length);  // centred: rows, or columns
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) vectors[rows ? i * d + j : j * n + i] = e[i * d + j] - mean[j];
  std::vector<double> squares(size), diagonal(size);  // of each row of the symmetric matrix of products
  cpu::parallel_for(size, 1, [&](int64_t begin, int64_t end) {
    for (int64_t a = begin; a < end; a++) {
      for (int64_t b = 0; b <= a; b++) {
        double dot = 0;
        const double *x = &vectors[a * length], *y = &vectors[b * length];
#pragma omp simd reduction(+ : dot)
        for (int64_t k = 0; k < length; k++) dot += x[k] * y[k];
        squares[a] += (a == b ? 1 : 2) * dot * dot;
        diagonal[a] = dot;
      }
    }
  });
  const double trace = std::accumulate(diagonal.begin(), diagonal.end(), 0.0),
               trace_of_square = std::accumulate(squares.begin(), squares.end(), 0.0);
  return trace_of_square > 0 ? trace * trace / trace_of_square : 0;
}

}  // namespace lookalike
