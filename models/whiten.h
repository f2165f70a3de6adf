// Whitened embeddings (PCA): minus their mean over some set of images, projected to the directions in which those vary most, each divided by how
// much they do, then scaled to length 1. What many pictures share no longer drowns what sets one apart.
#pragma once

#include <string>

#include "models/model.h"

namespace lookalike {

struct Whitening {
  Tensor mean, left_mean, right_mean;  // [D]; of images of no side, of left ones and of right ones
  Tensor directions;                   // [K,D]
};

// Of the embeddings of these images, `images` as center_of() takes it; the sides of pairs have means of their own. At most `count` directions, fewer
// where there are not as many dimensions or images - 1. With the singular values s of the centred embeddings direction i is divided by
// s[i] + shrinkage * s[0]; nothing else depends on how long the embeddings are.
Whitening whitening_of(const Model& model, const std::string& images, int64_t count, double shrinkage,
                       const Compute& compute, std::vector<std::string>* skipped = nullptr);

// Error, beginning with `path`, unless the rows of these directions [K,D], read from a file, can be
// those of a whitening: none is 0, and no two lie along each other.
void check_directions(const Tensor& directions, const std::string& path);

// From now on the model whitens. It is on no device yet. Error where it does already or has a matcher, or compares distances; messages begin with `path`.
void set_whitening(Model& model, const Whitening& whitening, const std::string& path);

}  // namespace lookalike
