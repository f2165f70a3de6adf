// Triplet loss (Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015) and the choice of its triplets (batch hard:
// Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017). With d = D, or D^2 with `squared`, the sum of
//   max(0, d(anchor, positive) - d(anchor, negative) + margin)
// over triplets of rows of e[m, d]: a positive is another row of the anchor's class, a negative a row of another one.
// At D = 0 the gradient is zero.
//
// Mining compares squared distances taken from direct differences and breaks ties by the lowest row, so what it picks
// does not depend on threads or tiles.
#pragma once

#include "kernels/contrastive.h"

namespace lookalike {

struct Triplet {
  int32_t anchor, positive, negative;
};

struct TripletParams {
  double margin;
  bool squared;
};

// How the rows fall into classes. Rows of one class stand together in `rows`, in ascending order:
// rows[begin[c]] ... rows[begin[c + 1] - 1] for class c.
struct RowClasses {
  const int32_t* of_row;  // [m], 0 ... number of classes - 1
  const int32_t* rows;    // [m]
  const int32_t* begin;   // [number of classes + 1]
};

namespace cpu {

// Elements of the workspace of mining: O(m d).
template <class T>
int64_t mining_workspace(int64_t m, int64_t d);

// Fills the workspace for these embeddings.
template <class T>
void mining_prepare(const T* e, int64_t m, int64_t d, T* workspace);

// The miners complete a list of triplets, ordered by anchor, each of whose anchors has a positive and a negative; the
// list comes with any valid rows in the places to fill, which stay where distances are NaN. squared[2 count]: the
// squared distances (anchor, positive), (anchor, negative) of each triplet in turn, overwritten.
//
// The farthest positive and the nearest negative of each anchor.
template <class T>
void mine_batch_hard(const T* e, int64_t m, int64_t d, const RowClasses& classes, const T* workspace, Triplet* triplets,
                     int64_t count, T* squared);

// For each anchor and given positive the nearest negative that is farther than the positive, or where there is none
// the farthest negative.
template <class T>
void mine_semi_hard(const T* e, int64_t m, int64_t d, const RowClasses& classes, const T* workspace, Triplet* triplets,
                    int64_t count, T* squared);

// Sums over the triplets. squared[2 count]: the squared distances (anchor, positive), (anchor, negative) of each
// triplet in turn. weights[2 count]: for pair_gradients, of scale * loss, overwritten; may be `squared`.
template <class T>
DistanceSums triplet(const TripletParams& params, const T* squared, int64_t count, double scale, T* weights);

// Anchors that all_triplets takes at a time.
constexpr int64_t kAnchorBlock = 16;

// Sums over all triplets of the anchors [begin, end), at most kAnchorBlock of them. For pair_gradients, of
// scale * loss: pairs[(end - begin) m] are (anchor, row) and weights[(end - begin) m] theirs, overwritten.
// distances[(end - begin) m]: workspace.
template <class T>
DistanceSums all_triplets(const TripletParams& params, const T* e, int64_t m, int64_t d, const RowClasses& classes,
                          int64_t begin, int64_t end, double scale, RowPair* pairs, T* distances, T* weights);

}  // namespace cpu

// Which triplets: a given list; the list with its negatives, or for batch hard its positives and negatives, mined; or all.
enum class Mining : uint8_t { listed, semi_hard, batch_hard, all };

namespace cuda {

// Elements of the workspace: O(m + count), of `all` at most 1032 m + 8192 d.
int64_t triplet_workspace(Mining mining, int64_t m, int64_t d, int64_t count);
// Everything in one call, from the embeddings e[m, d] to the gradient de[m, d] of scale * loss and to *loss, that product.
// triplets[count] is ordered by anchor and, where it is to be mined, comes as the miners above take it and is completed;
// `all` takes none. The arrays of `classes`, the list and all outputs, which are overwritten, lie in device memory.
void triplet(Mining mining, const TripletParams& params, const float* e, int64_t m, int64_t d,
             const RowClasses& classes, Triplet* triplets, int64_t count, double scale, float* workspace, float* de,
             float* loss, DistanceSums* sums, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
