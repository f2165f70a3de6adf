#include "models/whiten.h"

#include <algorithm>
#include <cmath>

#include "engine/eval/eigen.h"
#include "engine/eval/embed.h"
#include "models/center.h"

namespace lookalike {
namespace {

// Products of the rows of x [n,d] with each other.
std::vector<double> products_of_rows(const std::vector<double>& x, int64_t n, int64_t d) {
  std::vector<double> products(n * n);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j <= i; j++) {
      double sum = 0;
      const double *a = &x[i * d], *b = &x[j * d];
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < d; k++) sum += a[k] * b[k];
      products[i * n + j] = products[j * n + i] = sum;
    }
  }
  return products;
}

// The leading right singular vectors of x [n,d], a row each, and their singular values: from the smaller of the two products of x with itself.
struct Directions {
  std::vector<double> values, vectors;
};
Directions leading_directions(const std::vector<double>& x, int64_t n, int64_t d, int64_t count) {
  Directions result;
  std::vector<double> turned(n * d);  // [d,n]
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++) turned[j * n + i] = x[i * d + j];
  const bool by_images = n < d;
  const int64_t size = std::min(n, d);
  const SymmetricEigen eigen = symmetric_eigen(products_of_rows(by_images ? x : turned, size, std::max(n, d)), size);
  // Smaller ones are rounding.
  constexpr double kSmallest = 1e-10;
  for (int64_t i = 0; i < std::min(count, size) && eigen.values[i] > kSmallest * eigen.values[0]; i++) {
    const double value = std::sqrt(eigen.values[i]);
    const double* vector = &eigen.vectors[i * size];
    result.values.push_back(value);
    if (!by_images) {
      result.vectors.insert(result.vectors.end(), vector, vector + d);
      continue;
    }
    for (int64_t j = 0; j < d; j++) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) sum += turned[j * n + k] * vector[k];
      result.vectors.push_back(sum / value);
    }
  }
  return result;
}

}  // namespace

Whitening whitening_of(const Model& model, const std::string& images, int64_t count, double shrinkage,
                       const Compute& compute, std::vector<std::string>* skipped) {
  const EmbeddedImages embedded = embed_images_of(model, images, compute, skipped);
  const Tensor& rows = embedded.rows;
  const std::vector<PairSide>& side_of = embedded.sides;
  const int64_t n = rows.shape()[0], d = rows.shape()[1];
  check(n >= 2, "{}: one image, expected two or more to whiten by", images);
  const auto mean_of = [&](PairSide side) {
    MeanRow mean;
    for (int64_t i = 0; i < n; i++)
      if (side == PairSide::any || side_of[i] == side) mean.add(rows.rows(i, i + 1));
    return mean.mean();
  };
  Whitening result{.mean = mean_of(PairSide::any), .left_mean = {}, .right_mean = {}, .directions = {}};
  const bool sides = side_of[0] != PairSide::any;
  result.left_mean = sides ? mean_of(PairSide::left) : result.mean;
  result.right_mean = sides ? mean_of(PairSide::right) : result.mean;
  std::vector<double> centred(n * d);
  for (int64_t i = 0; i < n; i++) {
    const Tensor& mean = side_of[i] == PairSide::right ? result.right_mean : result.left_mean;
    for (int64_t j = 0; j < d; j++) centred[i * d + j] = double{rows.data<float>()[i * d + j]} - mean.data<float>()[j];
  }
  const Directions found = leading_directions(centred, n, d, std::min({count, n - 1, d}));
  check(!found.values.empty(), "{}: all embeddings are the same, expected images that differ to whiten by", images);
  const double largest = found.values[0];
  result.directions = Tensor({std::ssize(found.values), d});
  for (int64_t i = 0; i < result.directions.size(); i++)
    result.directions.data<float>()[i] =
        static_cast<float>(found.vectors[i] * largest / (found.values[i / d] + shrinkage * largest));
  return result;
}

void check_directions(const Tensor& directions, const std::string& path) {
  // Orthogonal they are up to rounding, which is much for those that embeddings hardly vary in.
  constexpr double kMostCosine = 0.5;
  const int64_t n = directions.shape()[0], d = directions.shape()[1];
  const auto values = directions.span<float>();
  const std::vector<double> products = products_of_rows({values.begin(), values.end()}, n, d);
  for (int64_t i = 0; i < n; i++) {
    check(products[i * n + i] > 0,
          "{}: tensor whiten.directions: row {} is 0, expected a direction", path, i);
    for (int64_t j = 0; j < i; j++)
      check(std::abs(products[i * n + j]) <=
                kMostCosine * std::sqrt(products[i * n + i] * products[j * n + j]),
            "{}: tensor whiten.directions: rows {} and {} are not orthogonal", path, j, i);
  }
}

void set_whitening(Model& model, const Whitening& whitening, const std::string& path) {
  check(!model.config.contains("whiten"), "{}: whitens its embeddings already", path);
  check(!model.network->matcher && model.network->similarity == Similarity::cosine,
        "{}: compares embeddings by {}, expected a model that compares by cosine", path,
        model.network->matcher ? "its matcher" : "distance");
  model.network->layers.add<Whiten>("whiten", whitening.mean, whitening.left_mean, whitening.right_mean,
                                    whitening.directions);
  const Shape& directions = whitening.directions.shape();
  if (directions[0] != directions[1])
    model.network->training_head = nullptr;  // which takes all of them
  model.config["whiten"] = {{"directions", directions[0]}};
}

}  // namespace lookalike
