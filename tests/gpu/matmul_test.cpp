#include "kernels/matmul.h"

#include <doctest/doctest.h>

#include "kernels/activation.h"
#include "kernels/cast.h"
#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

enum class Case { nt, nn, tn, tt };

struct Sizes {
  int64_t m, n, k;
};

std::vector<double> transposed(const std::vector<double>& x, int64_t rows, int64_t columns) {
  std::vector<double> result(x.size());
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) result[j * rows + i] = x[i * columns + j];
  }
  return result;
}

// f(a b^T + bias) of a[m,k], b[n,k] by the CPU kernel in double.
std::vector<double> reference(const Sizes& s, const std::vector<double>& a, const std::vector<double>& b,
                              const std::vector<double>* bias, const Activation& f) {
  std::vector<double> c(s.m * s.n), workspace(cpu::matmul_workspace<double>(s.m, s.n, s.k));
  cpu::matmul_nt<double>(s.m, s.n, s.k, a.data(), b.data(), bias == nullptr ? nullptr : bias->data(), c.data(),
                         workspace.data());
  cpu::activation_forward<double>(f, c.data(), c.data(), s.m * s.n);
  return c;
}

// T of activations, U of b, V of c.
template <class T, class U, class V, class Call>
double error(const Sizes& s, bool transpose_a, bool transpose_b, const std::vector<double>* bias, const Activation& f,
             const Call& call) {
  const auto a = random_values<T>(s.m * s.k, 1);
  auto b = random_values<U>(s.n * s.k, 2);
  DeviceArray<T> device_a(a), workspace(cuda::matmul_workspace<T>(s.m, s.n, s.k));
  DeviceArray<U> device_b(b);
  DeviceArray<V> c(s.m * s.n);
  call(device_a.data(), device_b.data(), c.data(), workspace.data());
  if constexpr (std::is_same_v<T, bf16> && std::is_same_v<U, float>) {
    for (float& x : b) x = to_float(to_bf16(x));
  }
  const auto wide_a = transpose_a ? transposed(to_double(a), s.k, s.m) : to_double(a);
  const auto wide_b = transpose_b ? transposed(to_double(b), s.k, s.n) : to_double(b);
  return relative_error(to_double(c.read()), reference(s, wide_a, wide_b, bias, f));
}

template <class T>
double matmul_error(Case which, const Sizes& s, bool tf32, const Activation& f = {}, bool with_bias = false) {
  const gpu::Stream stream = gpu::compute_stream();
  const auto bias = random_values<float>(s.n, 3);
  const auto wide_bias = to_double(bias);
  DeviceArray<float> device_bias(bias);
  switch (which) {
    case Case::nt:
      return error<T, float, T>(s, false, false, with_bias ? &wide_bias : nullptr, f,
                                [&](T* a, float* b, T* c, T* workspace) {
                                  cuda::matmul_nt<T>(s.m, s.n, s.k, a, b, with_bias ? device_bias.data() : nullptr, f,
                                                     tf32, c, workspace, stream);
                                });
    case Case::nn:
      return error<T, float, T>(s, false, true, nullptr, f, [&](T* a, float* b, T* c, T* workspace) {
        cuda::matmul_nn<T>(s.m, s.n, s.k, a, b, tf32, c, workspace, stream);
      });
    case Case::tn:
      return error<T, T, float>(s, true, true, nullptr, f, [&](T* a, T* b, float* c, T* workspace) {
        cuda::matmul_tn<T>(s.m, s.n, s.k, a, b, tf32, c, workspace, stream);
      });
    default:
      return error<T, float, T>(s, true, false, nullptr, f, [&](T* a, float* b, T* c, T* workspace) {
        cuda::matmul_tt<T>(s.m, s.n, s.k, a, b, tf32, c, workspace, stream);
      });
  }
}

void check_all(Case which, const Sizes& s, const Activation& f = {}, bool with_bias = false) {
  CAPTURE(static_cast<int>(which));
  CAPTURE(s.m);
  CAPTURE(s.n);
  CAPTURE(s.k);
  CHECK(matmul_error<float>(which, s, false, f, with_bias) < 1e-6);
  CHECK(matmul_error<float>(which, s, true, f, with_bias) < 1e-3);
  CHECK(matmul_error<bf16>(which, s, false, f, with_bias) < 1e-2);
}

TEST_CASE("matmul: the four transpositions") {
  for (const Case which : {Case::nt, Case::nn, Case::tn, Case::tt}) {
    // Nothing; one; odd (no vector loads); whole groups of 8; inner sizes that are multiples of 8 but of no tile.
    for (const Sizes& s : {Sizes{0, 3, 5}, Sizes{3, 0, 5}, Sizes{3, 5, 0}, Sizes{1, 1, 1}, Sizes{31, 33, 37},
                           Sizes{67, 5, 19}, Sizes{64, 64, 32}, Sizes{72, 136, 40}, Sizes{8, 16, 104}}) {
      check_all(which, s);
    }
  }
}

// Deep enough for plan_gemm to split it in every precision.
TEST_CASE("matmul: skinny products split the depth") {
  for (const Case which : {Case::nt, Case::nn, Case::tn, Case::tt}) check_all(which, {3, 7, 3105});
  check_all(Case::nt, {1, 8, 3104});
}

TEST_CASE("matmul: bias and activation") {
  for (const Activation& f : {Activation{}, Activation{ActivationKind::relu},
                              Activation{ActivationKind::leaky_relu, 0.2}, Activation{ActivationKind::sigmoid}}) {
    check_all(Case::nt, {33, 40, 24}, f, true);
    check_all(Case::nt, {5, 31, 13}, f, true);
    check_all(Case::nt, {2, 3, 3104}, f, true);  // in the second kernel
  }
}

TEST_CASE("matmul gives the same bits again") {
  const Sizes s{40, 24, 2000};  // a split depth
  const auto a = random_values<float>(s.m * s.k, 1), b = random_values<float>(s.n * s.k, 2);
  DeviceArray<float> device_a(a), device_b(b), workspace(cuda::matmul_workspace<float>(s.m, s.n, s.k));
  std::vector<float> results[2];
  for (auto& result : results) {
    DeviceArray<float> c(s.m * s.n);
    cuda::matmul_tn<float>(s.m, s.n, s.k, device_a.data(), device_b.data(), false, c.data(), workspace.data(),
                           gpu::compute_stream());
    result = c.read();
  }
  CHECK(results[0] == results[1]);
}

template <class T>
double column_sums_error(int64_t m, int64_t n) {
  const auto a = random_values<T>(m * n, 1);
  DeviceArray<T> device_a(a), workspace(cuda::column_sums_workspace<T>(m, n));
  DeviceArray<float> sums(n);
  cuda::column_sums<T>(m, n, device_a.data(), sums.data(), workspace.data(), gpu::compute_stream());
  const auto wide = to_double(a);
  std::vector<double> want(n);
  for (int64_t i = 0; i < m * n; i++) want[i % n] += wide[i];
  return relative_error(to_double(sums.read()), want);
}

TEST_CASE("column_sums") {
  for (const auto& [m, n] :
       {std::pair{0, 3}, std::pair{1, 1}, std::pair{31, 33}, std::pair{200, 5}, std::pair{521, 40}}) {
    CAPTURE(m);
    CAPTURE(n);
    CHECK(column_sums_error<float>(m, n) < 1e-6);
    CHECK(column_sums_error<bf16>(m, n) < 1e-2);
  }
}

TEST_CASE("cast") {
  for (const int64_t n : {0, 1, 31, 1024}) {
    const auto x = random_values<float>(n, 1);
    DeviceArray<float> from(x), back(n);
    DeviceArray<bf16> rounded(n);
    cuda::cast(from.data(), rounded.data(), n, gpu::compute_stream());
    cuda::cast(rounded.data(), back.data(), n, gpu::compute_stream());
    std::vector<float> want;
    for (const float value : x) want.push_back(to_float(to_bf16(value)));
    CHECK(back.read() == want);
  }
}

}  // namespace
}  // namespace lookalike::testing
