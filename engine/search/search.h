// Exact search among embeddings on the CPU or the GPU, with the same results and order on both:
// every row is looked at, in blocks, and what a device finds is scored anew on the CPU, whose bits
// do not depend on the size of a block. Equal scores rank by row. Distances are compared on the CPU
// whatever the device.
#pragma once

#include <array>

#include "engine/core/device.h"
#include "engine/data/image.h"
#include "engine/eval/retrieval.h"

namespace lookalike {

constexpr int64_t kMostMatches = 1000;  // of a query

class Searcher {
 public:
  // Rows [n,D], f32 or f16, of unit length where they are compared by cosine. They stay where they
  // are; a GPU gets them in blocks of about so many bytes, or keeps them where one is enough.
  Searcher(const Tensor& rows, Similarity similarity, Device device,
           int64_t block_bytes = int64_t{1} << 30);

  // The k best rows for each query, f32 [q,D]; all rows where there are fewer. Scores are cosines
  // or negative distances. k is at most kMostMatches.
  Neighbors find(const Tensor& queries, int64_t k) const;

 private:
  Neighbors find_on_gpu(const Tensor& queries, int64_t k) const;
  Tensor block_on_gpu(int64_t block) const;

  Tensor rows_;
  Similarity similarity_;
  Device device_;
  int64_t block_rows_ = 0;
  Tensor resident_;  // on the GPU
};

// Groups of rows that are nearly the same. Rows are taken in their order: one that reaches
// `threshold` with a representative before it joins the one that is most like it, any other is a
// representative itself. So every member is within the threshold of its representative, and no
// chain of small differences makes a group. Exact, by tiles, with half of all products.
struct DuplicateGroup {
  int64_t representative;
  struct Member {
    int64_t row;
    float score;
  };
  std::vector<Member> members;  // by row; at least one
};
// Rows as Searcher takes them, f32. Representatives are gathered in their memory, so that it takes
// little more: afterwards they are not what they were.
std::vector<DuplicateGroup> find_duplicates(Tensor rows, Similarity similarity, float threshold,
                                            Device device);

// The eight ways to lay a picture down: turned by quarters clockwise, then the same mirrored.
constexpr int kOrientations = 8;
extern const std::array<const char*, kOrientations> kOrientationNames;
Image orient(const Image& image, int orientation);

}  // namespace lookalike
