// Whether a network has stopped telling images apart: all of them get nearly the same embedding, or lie on a line.
#pragma once

#include <string>

#include "engine/eval/retrieval.h"
#include "engine/train/recipe.h"

namespace lookalike {

// How alike the embeddings of images are that match and of others.
struct MeanSimilarity {
  Similarity measure = Similarity::cosine;
  double matching = 0, other = 0;  // means: cosine or distance
  // Of images that do not match, the mean squared distance in parts of |a|^2 + |b|^2, on unit rows where they are compared by
  // cosine: 1 - cosine there; 0 where all embeddings are one; independent of their scale.
  double spread = 0;
};

// Over candidate lists with truth; rows f32 [n, d].
MeanSimilarity mean_similarity(const Tensor& left, const Tensor& right, const CandidateLists& lists,
                               Similarity similarity);

// What an epoch left behind.
struct EpochSigns {
  MeanSimilarity similarity;
  double rank = 0;                         // embedding_rank() of the validation images
  int64_t dimensions = 0, classes = 0;     // of their embeddings; among these images
  double loss = 0, loss_if_equal = NAN;    // of validation; the same if all embeddings were one, NaN where unknown
  double active_share = 0;                 // over the epoch's steps
  bool never_active = false;               // nor over those of any epoch before
  int64_t epoch = 0, training_images = 0;  // epoch from 1
};

// A pair of unit vectors at this spread has a cosine of 0.98: only then is the loss looked at.
constexpr double kNarrowSpread = 0.02;

// What is wrong, its likely causes and the settings that cure them, in one line; empty where nothing is.
std::string collapse_warning(const EpochSigns& signs, const Recipe& recipe);

}  // namespace lookalike
