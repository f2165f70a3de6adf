// Eigenvalues and eigenvectors of symmetric matrices of up to a few thousand rows, in double.
#pragma once

#include <cstdint>
#include <vector>

namespace lookalike {

struct SymmetricEigen {
  std::vector<double> values;   // [n], largest first
  std::vector<double> vectors;  // [n,n], a row of unit length for each value
};

// Of a symmetric matrix [n,n], row-major: Householder's reduction to a tridiagonal one, then QL steps with implicit shifts (Golub, Van Loan,
// "Matrix computations", 8.3). The same input gives the same bits with any number of threads.
SymmetricEigen symmetric_eigen(std::vector<double> matrix, int64_t n);

}  // namespace lookalike
