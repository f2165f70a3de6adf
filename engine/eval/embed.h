// Images through a network, in batches, without recording.
#pragma once

#include <map>
#include <span>
#include <string>

#include "engine/data/loader.h"
#include "engine/eval/gallery.h"
#include "engine/eval/retrieval.h"
#include "engine/nn/network.h"

namespace lookalike {

// What the network makes of a batch in evaluation. On the CPU, where there are enough images, each thread takes a few at a time
// through the whole network: what an image leaves between layers then stays in that core's cache.
Variable forward_in_parallel(Module& network, const Variable& images, const Mode& mode = {});

// Embeddings [images.size(), D] of these images of the store, on the CPU; BatchNorm uses its running averages. The network
// must be on the device of `compute`. `side`: which of a pair they are.
Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images, const Compute& compute = {},
             PairSide side = PairSide::any);

// How long embed_files() took, in seconds: decoding and resizing, the network, and both together, less where they overlapped.
struct EmbedTimes {
  double decoding = 0, network = 0, total = 0;
};

// The same of image files, a row for each. They are decoded in pieces, each while the network is busy with the one before; so memory does
// not grow with their number beyond the embeddings themselves. An image that can't be read is an Error or, given `unread`, in there with the reason; its
// row says nothing. Given `hashes`, it gets the content hash of each (image.h).
Tensor embed_files(Module& network, std::span<const std::string> files, const Preprocess& preprocess,
                   const Compute& compute = {}, EmbedTimes* times = nullptr, PairSide side = PairSide::any,
                   std::map<int64_t, std::string>* unread = nullptr,
                   std::vector<uint64_t>* hashes = nullptr);

// The same from what the frozen layers make of the images, one row for each.
Tensor embed_features(Network& network, const Tensor& features, const Compute& compute = {});

// Embeddings as they are handed out: of unit length where the network compares them by cosine, so that a dot product is that; else as they are.
Tensor comparable_rows(const Network& network, const Tensor& embeddings);
// Error that names the image, `names`[row], unless every number of the embeddings is finite.
void check_finite(const Tensor& embeddings, std::span<const std::string> names);

// Scores as score_candidates() gives them, by the network's matcher where it has one, else by its similarity.
Tensor score_lists(Network& network, const Tensor& left, const Tensor& right, const CandidateLists& lists,
                   const Compute& compute = {});

// Ranks as gallery_ranks() gives them, by the network's matcher where it has one, which looks at
// every pair of a query and an image: for few.
std::vector<int64_t> rank_gallery(Network& network, const Tensor& queries, const Tensor& images,
                                  const GalleryTruth& truth, const Compute& compute = {});

// How many dimensions embeddings [N,D] use: the participation ratio (sum of l)^2 / (sum of l^2) of the eigenvalues l of their covariance,
// from 1 (all on a line) to D.
double embedding_rank(const Tensor& embeddings);

}  // namespace lookalike
