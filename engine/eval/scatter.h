// A picture of embeddings in the plane, coloured by class.
#pragma once

#include <string>

#include "engine/core/tensor.h"

namespace lookalike {

constexpr int64_t kScatterPoints = 2000;

// Rows f32 [n, 2] that show embeddings f32 [n, d]: themselves where d is 2, otherwise their first two principal
// components (zeros where d is 1), the signs such that the largest weight of each is positive.
struct Plane {
  Tensor points;
  double shares[2] = {1, 1};  // of the variance
};
Plane to_plane(const Tensor& embeddings);

// An SVG file of at most kScatterPoints of the embeddings, drawn from `seed`; both axes have one scale, since distances
// are what counts.
std::string scatter_svg(const std::string& title, const Tensor& embeddings, std::span<const int32_t> labels,
                        std::span<const std::string> classes, uint64_t seed);

}  // namespace lookalike
