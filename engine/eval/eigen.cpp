#include "engine/eval/eigen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/core/error.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

double dot_product(const double* a, const double* b, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

// Turns A into Q^T A Q with the diagonal d and e[i] beside d[i] and d[i+1], and the unit matrix in `rows` into Q^T.
void tridiagonalize(std::vector<double>& a, int64_t n, std::vector<double>& d, std::vector<double>& e,
                    std::vector<double>& rows) {
  std::vector<double> v(n), p(n), t(n);
  for (int64_t k = 0; k + 2 < n; k++) {
    // The reflection I - beta v v^T that clears row and column k behind their second element.
    const int64_t first = k + 1, length = n - first;
    const double* x = &a[k * n + first];
    const double norm = std::sqrt(dot_product(x, x, length));
    e[k] = x[0] > 0 ? -norm : norm;
    if (norm == 0) continue;
    std::copy_n(x, length, v.begin());
    v[0] -= e[k];
    const double beta = 2 / dot_product(v.data(), v.data(), length);
    cpu::parallel_for(length, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) p[i] = beta * dot_product(&a[(first + i) * n + first], v.data(), length);
    });
    const double half = beta / 2 * dot_product(p.data(), v.data(), length);
    for (int64_t i = 0; i < length; i++) p[i] -= half * v[i];
    cpu::parallel_for(length, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        double* row = &a[(first + i) * n + first];
#pragma omp simd
        for (int64_t j = 0; j < length; j++) row[j] -= v[i] * p[j] + p[i] * v[j];
      }
    });
    cpu::parallel_for(n, 64, [&](int64_t begin, int64_t end) {
      std::fill(t.begin() + begin, t.begin() + end, 0);
      for (int64_t i = 0; i < length; i++) {
        const double* row = &rows[(first + i) * n];
#pragma omp simd
        for (int64_t j = begin; j < end; j++) t[j] += beta * v[i] * row[j];
      }
      for (int64_t i = 0; i < length; i++) {
        double* row = &rows[(first + i) * n];
#pragma omp simd
        for (int64_t j = begin; j < end; j++) row[j] -= v[i] * t[j];
      }
    });
  }
  if (n > 1) e[n - 2] = a[(n - 2) * n + n - 1];
  for (int64_t i = 0; i < n; i++) d[i] = a[i * n + i];
}

// A QL step on rows l to m of the tridiagonal matrix, with the rotations done to `rows`.
void ql_step(int64_t l, int64_t m, int64_t n, std::vector<double>& d, std::vector<double>& e,
             std::vector<double>& rows) {
  double g = (d[l + 1] - d[l]) / (2 * e[l]);
  g = d[m] - d[l] + e[l] / (g + std::copysign(std::hypot(g, 1), g));
  double s = 1, c = 1, p = 0;
  for (int64_t i = m; i-- > l;) {
    const double f = s * e[i], b = c * e[i];
    double r = std::hypot(f, g);
    e[i + 1] = r;
    if (r == 0) {
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }
    s = f / r, c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    double *upper = &rows[i * n], *lower = &rows[(i + 1) * n];
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
      const double old = lower[j];
      lower[j] = s * upper[j] + c * old;
      upper[j] = c * upper[j] - s * old;
    }
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

}  // namespace

SymmetricEigen symmetric_eigen(std::vector<double> matrix, int64_t n) {
  check(n > 0 && std::ssize(matrix) == n * n, "eigenvalues of {} numbers, expected {} x {}", matrix.size(), n, n);
  std::vector<double> d(n), e(n), rows(n * n);
  for (int64_t i = 0; i < n; i++) rows[i * n + i] = 1;
  tridiagonalize(matrix, n, d, e, rows);
  double magnitude = 0;
  for (int64_t i = 0; i < n; i++) magnitude = std::max({magnitude, std::abs(d[i]), std::abs(e[i])});
  const double small = std::numeric_limits<double>::epsilon() * magnitude;
  for (int64_t l = 0; l < n; l++) {
    for (int steps = 0;; steps++) {
      int64_t m = l;
      while (m + 1 < n && std::abs(e[m]) > small) m++;
      if (m == l) break;
      check(steps < 100, "the eigenvalues of a {} x {} matrix do not converge: are its numbers finite?", n, n);
      ql_step(l, m, n, d, e, rows);
    }
  }
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return d[a] > d[b]; });
  SymmetricEigen result;
  for (const int64_t i : order) {
    result.values.push_back(d[i]);
    result.vectors.insert(result.vectors.end(), rows.begin() + i * n, rows.begin() + (i + 1) * n);
  }
  return result;
}

}  // namespace lookalike
