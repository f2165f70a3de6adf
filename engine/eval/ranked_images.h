// The images that an evaluation of pairs ranks: a protocol with its pictures, what of them could not be read, and what the model has seen before.
#pragma once

#include <string>
#include <vector>

#include "engine/data/seen_images.h"
#include "engine/eval/gallery.h"
#include "engine/eval/protocol.h"

namespace lookalike {

struct RankedImages {
  Protocol protocol;
  ImageStore images;
  std::vector<int64_t> left, right;      // which image each of protocol.left and protocol.right is
  std::vector<std::string> skipped;      // a line for each image or pair that is left out
  std::vector<std::string> passed_over;  // a line for each folder with files that are no images
};

// `lists` lists of `count` candidates for each pair of a file (make_protocol), whose images lie in `folder`/left and right. With `skip`, pairs with an
// image that is missing or damaged are left out.
RankedImages open_pairs_to_rank(const std::string& folder, const std::string& pairs_csv, const Preprocess& preprocess,
                                int64_t count, int64_t lists, uint64_t seed, OnCorrupt on_corrupt);
// The lists of a candidates file, with their truth where `truth_csv` is not empty. With `skip`, an image that can't be read stays in its place in the lists and
// scores -infinity.
RankedImages open_candidates_to_rank(const std::string& folder, const std::string& candidates_csv,
                                     const std::string& truth_csv, const Preprocess& preprocess, OnCorrupt on_corrupt);

// Sets what images that could not be read scored to -infinity: their lists, and their places in others.
void mark_unread(const RankedImages& ranked, Tensor& scores);

// What a network must beat, as scores of the lists: baseline_scores() of the pictures, of which no
// more than kPixelBytes are numbers at a time.
constexpr int64_t kPixelBytes = int64_t{1} << 26;
std::vector<std::pair<std::string, Tensor>> pixel_scores(const RankedImages& ranked,
                                                         const Tensor& mean,
                                                         int64_t bytes = kPixelBytes);

// The right images that could be read, as rows of the protocol, and which of them are partners of
// the queries that are kept: a gallery to rank for each (gallery.h).
struct Gallery {
  std::vector<int64_t> rows;
  GalleryTruth truth;
};
Gallery gallery_of(const RankedImages& ranked, const std::vector<bool>& keep);

// How a query stands to a model: it is seen when its own image or a partner's is.
enum class QuerySeen : uint8_t { no, in_training, in_validation };
// Of each query; those that can't be measured, since an image of theirs could not be read, are `no` and have a false in `measured`.
struct QueryStates {
  std::vector<QuerySeen> seen;
  std::vector<bool> measured;
  int64_t count(QuerySeen state) const;  // of those measured
};
QueryStates states_of_queries(const RankedImages& ranked, const SeenImages& seen);

// The lists of some queries alone, with their rows of `scores`; hashes stay those of the whole.
struct ScoredProtocol {
  Protocol protocol;
  Tensor scores;
};
ScoredProtocol select_queries(const Protocol& protocol, const Tensor& scores, const std::vector<bool>& keep);

}  // namespace lookalike
