// The losses against oracles that follow the definitions word by word, over all pairs and triplets, in double.
#include <cmath>
#include <numeric>
#include <set>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/losses/loss.h"
#include "engine/ops/gather_rows.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/pair_features.h"
#include "kernels/exp.h"
#include "kernels/log.h"
#include "tests/op_case.h"

namespace lookalike {
namespace {

using testing::random_tensor;
using testing::relative_error;
using testing::same_bits;

struct Result {
  double loss = 0;
  Tensor grad;
  LossStats stats;
};

template <class Loss>
Result run(const Tensor& e, const Loss& loss) {
  Variable x(e.clone(), true);
  LossResult result = loss(x);
  result.loss.backward();
  return {result.loss.value().item(), x.grad(), result.stats()};
}

struct Oracle {
  explicit Oracle(const Tensor& embeddings)
      : e(embeddings.to(DType::f64)), rows(e.shape()[0]), d(e.shape()[1]), distances(rows * rows) {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < rows; j++) {
        double sum = 0;
        for (int64_t k = 0; k < d; k++) sum += (at(i, k) - at(j, k)) * (at(i, k) - at(j, k));
        distances[i * rows + j] = std::sqrt(sum);
      }
    }
    result.grad = Tensor::zeros(e.shape(), DType::f64);
  }

  Tensor e;  // double
  int64_t rows, d;
  std::vector<double> distances;
  Result result;

  double distance(int64_t i, int64_t j) const { return distances[i * rows + j]; }
  double at(int64_t i, int64_t k) const { return e.data<double>()[i * d + k]; }
  // Adds weight * d D_ij (or D_ij^2) / d e.
  void add_gradient(int64_t i, int64_t j, double weight, bool squared) {
    const double slope = squared ? 2 * weight : distance(i, j) > 0 ? weight / distance(i, j) : 0;
    for (int64_t k = 0; k < d; k++) {
      result.grad.data<double>()[i * d + k] += slope * (at(i, k) - at(j, k));
      result.grad.data<double>()[j * d + k] -= slope * (at(i, k) - at(j, k));
    }
  }
};

Result triplet_oracle(const Tensor& e, const std::vector<int32_t>& labels, const TripletOptions& options) {
  Oracle o(e);
  std::vector<std::array<int64_t, 3>> triplets;
  for (int64_t a = 0; a < o.rows; a++) {
    std::vector<int64_t> positives, negatives;
    for (int64_t j = 0; j < o.rows; j++) {
      if (j != a) (labels[j] == labels[a] ? positives : negatives).push_back(j);
    }
    if (positives.empty() || negatives.empty()) continue;
    // min_element and max_element return the first of equal ones.
    const auto nearer = [&](int64_t x, int64_t y) { return o.distance(a, x) < o.distance(a, y); };
    if (options.negatives == Negatives::batch_hard) {
      triplets.push_back({a, *std::max_element(positives.begin(), positives.end(), nearer),
                          *std::min_element(negatives.begin(), negatives.end(), nearer)});
    }
    if (options.negatives == Negatives::all) {
      for (int64_t p : positives)
        for (int64_t n : negatives) triplets.push_back({a, p, n});
    }
    if (options.negatives == Negatives::semi_hard) {
      for (int64_t p : positives) {
        std::vector<int64_t> farther;
        for (int64_t n : negatives) {
          if (o.distance(a, n) > o.distance(a, p)) farther.push_back(n);
        }
        triplets.push_back({a, p,
                            farther.empty() ? *std::max_element(negatives.begin(), negatives.end(), nearer)
                                            : *std::min_element(farther.begin(), farther.end(), nearer)});
      }
    }
  }
  const double scale = triplets.empty() ? 0 : 1 / static_cast<double>(triplets.size());
  for (const auto& [a, p, n] : triplets) {
    const double positive = o.distance(a, p), negative = o.distance(a, n);
    const double loss =
        options.margin + (options.squared ? positive * positive - negative * negative : positive - negative);
    o.result.stats.mean_positive_distance += scale * positive;
    o.result.stats.mean_negative_distance += scale * negative;
    if (loss <= 0) continue;
    o.result.loss += scale * loss;
    o.result.stats.active_share += scale;
    o.add_gradient(a, p, scale, options.squared);
    o.add_gradient(a, n, -scale, options.squared);
  }
  return o.result;
}

Result nt_xent_oracle(const Tensor& e, double temperature) {
  Oracle o(e);
  const int64_t n = o.rows / 2;
  const auto s = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < o.d; k++) sum += o.at(i, k) * o.at(j, k);
    return sum / temperature;
  };
  for (int64_t i = 0; i < o.rows; i++) {
    const int64_t own = (i + n) % o.rows, first = i < n ? n : 0;
    double largest = -INFINITY, sum = 0;
    for (int64_t j = first; j < first + n; j++) largest = std::max(largest, s(i, j));
    for (int64_t j = first; j < first + n; j++) sum += std::exp(s(i, j) - largest);
    o.result.loss += (largest + std::log(sum) - s(i, own)) / static_cast<double>(o.rows);
    o.result.stats.active_share += (s(i, own) < largest) / static_cast<double>(o.rows);
    for (int64_t j = first; j < first + n; j++) {
      const double g = std::exp(s(i, j) - largest) / sum - (j == own);
      for (int64_t k = 0; k < o.d; k++) {
        o.result.grad.data<double>()[i * o.d + k] += g * o.at(j, k) / temperature / static_cast<double>(o.rows);
        o.result.grad.data<double>()[j * o.d + k] += g * o.at(i, k) / temperature / static_cast<double>(o.rows);
      }
    }
  }
  return o.result;
}

void check_close(const Result& got, const Result& want, double tolerance) {
  CHECK(std::abs(got.loss - want.loss) <= tolerance * (std::abs(want.loss) + 1e-6));
  CHECK(relative_error(got.grad, want.grad) <= tolerance);
  CHECK(got.stats.active_share == doctest::Approx(want.stats.active_share));
}

std::vector<int32_t> labels_modulo(int64_t rows, int64_t classes) {
  std::vector<int32_t> labels(rows);
  for (int64_t i = 0; i < rows; i++) labels[i] = static_cast<int32_t>(i % classes);
  return labels;
}

Tensor map(Tensor x, double (*f)(double)) {
  for (double& value : x.span<double>()) value = f(value);
  return x;
}

const auto kMined = {Negatives::semi_hard, Negatives::batch_hard, Negatives::all};

}  // namespace

TEST_CASE("triplets are those of the definition, also among ties and nearly equal rows") {
  for (const int64_t rows : {2, 3, 24, 97, 130}) {
    const Tensor normal = random_tensor({rows, 19});
    // Multiples of a power of two: float holds the squared distances without rounding, so it must pick the same rows.
    const Tensor inputs[] = {
        map(normal.clone(), [](double x) { return std::round(32 * x) / 32; }),
        map(normal.clone(), [](double x) { return std::round(x); }),                            // many ties
        map(normal.clone(), [](double x) { return 1 + std::ldexp(std::round(16 * x), -17); }),  // far from the origin
        map(normal.clone(), [](double x) { return x > 0.9 ? 1.0 : 0.0; }),                      // many equal rows
    };
    for (const int64_t classes : {rows / 2, int64_t{1}, int64_t{2}, int64_t{7}}) {
      const auto labels = labels_modulo(rows, classes);
      for (const Tensor& input : inputs) {
        for (const Negatives negatives : kMined) {
          for (const bool squared : {false, true}) {
            const double margin = &input == &inputs[2] ? (squared ? 1e-7 : 1.3e-4) : 0.31;  // off that grid
            const auto loss = [&](const Variable& x) {
              return triplet_loss(x, labels, {.margin = margin, .squared = squared, .negatives = negatives});
            };
            CAPTURE(rows);
            CAPTURE(classes);
            CAPTURE(&input - inputs);
            CAPTURE(static_cast<int>(negatives));
            CAPTURE(squared);
            const auto want = triplet_oracle(input, labels, {margin, squared, negatives});
            check_close(run(input, loss), want, 1e-9);
            const auto got = run(input.to(DType::f32), loss);
            // Among `all` of them a few lie so near to the hinge that float sees them on its other side.
            check_close(got, want, negatives == Negatives::all ? 1e-4 : 2e-5);
            CHECK(got.stats.mean_positive_distance == doctest::Approx(want.stats.mean_positive_distance));
            CHECK(got.stats.mean_negative_distance == doctest::Approx(want.stats.mean_negative_distance));
          }
        }
      }
    }
  }
}

TEST_CASE("random negatives are valid, follow the seed, and are all triplets on average") {
  const Tensor e = random_tensor({30, 5});
  const auto labels = labels_modulo(30, 5);
  const auto loss = [&](Negatives negatives, uint64_t seed) {
    return run(e, [&](auto& x) { return triplet_loss(x, labels, {1, false, negatives, seed}); });
  };
  CHECK(same_bits(loss(Negatives::random, 1).grad, loss(Negatives::random, 1).grad));
  CHECK(!same_bits(loss(Negatives::random, 1).grad, loss(Negatives::random, 2).grad));
  const int draws = 2000;
  double mean = 0;
  for (int seed = 0; seed < draws; seed++) mean += loss(Negatives::random, seed).loss / draws;
  CHECK(mean == doctest::Approx(loss(Negatives::all, 0).loss).epsilon(0.01));

  // One candidate: nothing to draw.
  const Tensor three = random_tensor({3, 4});
  const std::vector<int32_t> one_negative{6, 6, 2};
  check_close(run(three,
                  [&](auto& x) {
                    return triplet_loss(x, one_negative, {9, false, Negatives::random});
                  }),
              triplet_oracle(three, one_negative, {9, false, Negatives::all}), 1e-12);
}

TEST_CASE("twin pairs leave nobody with its own partner") {
  for (const int64_t n : {0, 1, 2, 3, 17}) {
    const auto pairs = twin_pairs(n, 4);
    REQUIRE(static_cast<int64_t>(pairs.size()) == (n > 1 ? 2 * n : n));
    std::set<int32_t> taken;
    for (int64_t q = 0; q < static_cast<int64_t>(pairs.size()); q++) {
      const auto& [i, j, label] = pairs[q];
      CHECK(i == q % n);
      CHECK((j == n + i) == (label == PairLabel::similar));
      CHECK((label == PairLabel::similar) == (q < n));
      if (label == PairLabel::dissimilar) CHECK(taken.insert(j).second);
    }
  }
}

TEST_CASE("contrastive loss is its formula") {
  // Distances 5, 5 and 0.5.
  const Tensor e = Tensor::from<double>({4, 2}, std::vector<double>{0, 0, 3, 4, 0, 0.5, 0, 0});
  const LabelledPair pairs[] = {
      {0, 1, PairLabel::similar}, {1, 0, PairLabel::dissimilar}, {0, 2, PairLabel::dissimilar}};
  const auto loss = [&](const ContrastiveOptions& options) {
    return run(e, [&](auto& x) { return contrastive_loss(x, pairs, options); });
  };
  const Result plain = loss({.margin = 2});
  CHECK(plain.loss == doctest::Approx((25 + 1.5 * 1.5) / 3));
  CHECK(plain.stats.active_share == doctest::Approx(2 / 3.));
  CHECK(plain.stats.mean_positive_distance == doctest::Approx(5));
  CHECK(plain.stats.mean_negative_distance == doctest::Approx(2.75));
  CHECK(loss({.margin = 2, .half = true}).loss == doctest::Approx(plain.loss / 2));
  CHECK(loss({.margin = 2, .hinge = Hinge::squared}).loss == doctest::Approx((25 + 4 - 0.25) / 3));
  CHECK(plain.grad.data<double>()[5] == doctest::Approx(-2 * 1.5 / 3));
  CHECK(plain.grad.data<double>()[6] == 0);
}

TEST_CASE("the vectorised exponential keeps its error bound") {
  double largest = 0;
  for (float x = -87.3f; x < 88; x += 1.7e-4f) {
    const double want = std::exp(double{x});
    largest = std::max(largest, std::abs(cpu::fast_exp(x) - want) / want);
  }
  CHECK(largest < 2e-7);
  CHECK(cpu::fast_exp(0) == 1);
  CHECK(cpu::fast_exp(-88) == 0);
  CHECK(cpu::fast_exp(-1e30f) == 0);
  CHECK(cpu::fast_exp(-INFINITY) == 0);
  CHECK(std::isnan(cpu::fast_exp(NAN)));
}

TEST_CASE("the vectorised logarithms keep their error bound") {
  double largest = 0, largest_log1p = 0;
  const auto error = [](float have, double want) { return want == 0 ? std::abs(have) : std::abs(have / want - 1); };
  for (float x = 1e-45f; x < 1e38f; x = std::max(std::nextafter(x, INFINITY), x * 1.0001f)) {
    largest = std::max(largest, error(cpu::fast_log(x), std::log(double{x})));
    largest_log1p = std::max(largest_log1p, error(cpu::fast_log1p(x), std::log1p(double{x})));
    if (x < 1) largest_log1p = std::max(largest_log1p, error(cpu::fast_log1p(-x), std::log1p(-double{x})));
  }
  for (float x = 0.5f; x < 2; x += 1e-6f) largest = std::max(largest, error(cpu::fast_log(x), std::log(double{x})));
  CHECK(largest < 2e-7);
  CHECK(largest_log1p < 3e-7);
  CHECK(cpu::fast_log(0) == -INFINITY);
  CHECK(cpu::fast_log1p(-1) == -INFINITY);
  for (const float x : {-1.0f, -0x1p-149f, NAN, INFINITY}) CHECK(std::isnan(cpu::fast_log(x)));
}

TEST_CASE("Barlow Twins of a batch without variance: no correlation, no gradient") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensor equal({8, 5}, dtype);
    equal.fill(0.25);
    for (const Tensor& z : {random_tensor({2, 5}, dtype), equal}) {
      const Result result = run(z, [](auto& x) { return barlow_twins_loss(x, 0.1); });
      CHECK(result.loss == 5);
      CHECK(relative_error(result.grad, Tensor::zeros(z.shape())) == 0);
    }
  }
}

TEST_CASE("softmax cross-entropy counts the rows that it would classify wrongly") {
  // A tie with the largest is not wrong.
  const Tensor x = Tensor::from<double>({3, 2}, std::vector<double>{1, 2, 3, 3, 5, 4});
  const auto stats = [&](std::vector<int32_t> labels) {
    return run(x, [&](auto& v) { return softmax_cross_entropy_loss(v, labels); }).stats;
  };
  CHECK(stats({1, 1, 0}).active_share == 0);
  CHECK(stats({0, 0, 0}).active_share == doctest::Approx(1 / 3.));
  CHECK(stats({0, 1, 1}).active_share == doctest::Approx(2 / 3.));
}

TEST_CASE("NT-Xent is its formula, also where exp would overflow") {
  for (const int64_t n : {1, 2, 31, 96, 97, 200}) {
    for (const double temperature : {5.0, 0.3, 0.001}) {
      const Tensor e = random_tensor({2 * n, 21});
      CAPTURE(n);
      CAPTURE(temperature);
      const auto loss = [&](auto& x) { return nt_xent_loss(x, temperature); };
      check_close(run(e, loss), nt_xent_oracle(e, temperature), 1e-9);
      const Tensor single = e.to(DType::f32);
      // A similarity of thousands is known to 1e-3 or so, and so are the exponentials of differences.
      check_close(run(single, loss), nt_xent_oracle(single, temperature), temperature < 0.01 ? 1e-2 : 1e-5);
    }
  }
}

TEST_CASE("NT-Xent of more pairs than it keeps the similarities of is its formula, too") {
  const Tensor e = random_tensor({2 * 2600, 5});
  const auto loss = [](auto& x) { return nt_xent_loss(x, 0.5); };
  check_close(run(e.to(DType::f32), loss), run(e, loss), 1e-5);
}

TEST_CASE("degenerate batches give finite losses and defined gradients") {
  const auto finite = [](const Result& result) {
    double sum = std::abs(result.loss) + result.stats.active_share + result.stats.mean_positive_distance +
                 result.stats.mean_negative_distance;
    const Tensor grad = result.grad.to(DType::f64);
    for (double x : grad.span<double>()) sum += std::abs(x);
    return std::isfinite(sum);
  };
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {0, 1, 2, 50}) {
      for (const double value : {0.0, 0.25, 1e-25}) {
        Tensor equal({2 * n, 40}, dtype);
        equal.fill(value);
        CAPTURE(n);
        CAPTURE(value);
        for (const Negatives negatives :
             {Negatives::random, Negatives::semi_hard, Negatives::batch_hard, Negatives::all}) {
          const Result result = run(equal, [&](auto& x) {
            return triplet_loss(x, labels_modulo(2 * n, std::max<int64_t>(n, 1)), {0.5, false, negatives});
          });
          CHECK(finite(result));
          CHECK(result.loss == doctest::Approx(n > 1 ? 0.5 : 0));
          CHECK(relative_error(result.grad, Tensor::zeros(equal.shape(), dtype)) == 0);
        }
        for (const Hinge hinge : {Hinge::distance, Hinge::squared}) {
          const Result result =
              run(equal, [&](auto& x) { return contrastive_loss(x, twin_pairs(n, 0), {.hinge = hinge}); });
          CHECK(finite(result));
          CHECK(result.loss == doctest::Approx(n > 1 ? 0.5 : 0));
        }
        const Result result = run(equal, [&](auto& x) { return nt_xent_loss(x, 0.1); });
        CHECK(finite(result));
        CHECK(result.loss == doctest::Approx(n > 0 ? std::log(n) : 0));
      }
    }
    // Far apart: nothing active.
    Tensor apart = Tensor::zeros({6, 3}, DType::f64);
    for (int64_t i = 0; i < 6; i++) apart.data<double>()[3 * i + i % 3] = 100;
    for (const Negatives negatives : kMined) {
      const Result result = run(apart.to(dtype), [&](auto& x) {
        return triplet_loss(x, labels_modulo(6, 3), {1, false, negatives});
      });
      CHECK(result.loss == 0);
      CHECK(result.stats.active_share == 0);
      CHECK(relative_error(result.grad, Tensor::zeros(apart.shape())) == 0);
    }
  }
}

TEST_CASE("NaN embeddings show in the loss") {
  Tensor e = random_tensor({8, 20}, DType::f32);
  e.fill(NAN);
  for (const Negatives negatives : {Negatives::random, Negatives::semi_hard, Negatives::batch_hard, Negatives::all}) {
    CHECK(std::isnan(run(e, [&](auto& x) {
                       return triplet_loss(x, labels_modulo(8, 4), {1, false, negatives});
                     }).loss));
  }
  CHECK(std::isnan(run(e, [&](auto& x) { return contrastive_loss(x, twin_pairs(4, 0), {}); }).loss));
  CHECK(std::isnan(run(e, [&](auto& x) { return nt_xent_loss(x, 1); }).loss));
  CHECK(std::isnan(run(e, [&](auto& x) { return barlow_twins_loss(x, 1); }).loss));
  CHECK(std::isnan(run(e, [&](auto& x) { return softmax_cross_entropy_loss(x, labels_modulo(8, 4)); }).loss));
  Tensor targets = Tensor::zeros(e.shape());
  for (const auto loss : {bce_with_logits_loss, bce_loss, mse_loss}) {
    CHECK(std::isnan(run(e, [&](auto& x) { return loss(x, targets); }).loss));
  }
}

TEST_CASE("the number of threads changes no bit of a loss") {
  const Tensor e = random_tensor({420, 70}, DType::f32);
  const auto labels = labels_modulo(420, 60);
  const int before = omp_get_max_threads();
  const auto check_threads = [&](const auto& loss) {
    omp_set_num_threads(1);
    const Result one = run(e, loss);
    for (const int threads : {2, 3, 8}) {
      omp_set_num_threads(threads);
      const Result many = run(e, loss);
      CHECK(many.loss == one.loss);
      CHECK(same_bits(many.grad, one.grad));
    }
    omp_set_num_threads(before);
  };
  for (const Negatives negatives : {Negatives::random, Negatives::semi_hard, Negatives::batch_hard, Negatives::all}) {
    check_threads([&](const Variable& x) { return triplet_loss(x, labels, {1, false, negatives}); });
  }
  check_threads([&](const Variable& x) { return contrastive_loss(x, twin_pairs(210, 0), {.margin = 12}); });
  check_threads([&](const Variable& x) { return nt_xent_loss(x, 3); });
  check_threads([&](const Variable& x) { return barlow_twins_loss(x, 0.01); });
  check_threads([&](const Variable& x) { return softmax_cross_entropy_loss(x, labels); });
  Tensor targets(e.shape());
  targets.fill(0.25);
  check_threads([&](const Variable& x) { return bce_with_logits_loss(x, targets); });
  check_threads([&](const Variable& x) { return mse_loss(x, targets); });
}

TEST_CASE("rows without a direction have no gradient through l2_normalize") {
  Variable x(Tensor::from<float>({2, 2}, std::vector<float>{0, 0, 3, 4}), true);
  Variable y = l2_normalize(x);
  CHECK(y.value().data<float>()[0] == 0);
  CHECK(y.value().data<float>()[3] == doctest::Approx(0.8));
  y.backward(Tensor::from<float>({2, 2}, std::vector<float>{1, 1, 3, 4}));
  for (const float g : x.grad().span<float>()) CHECK(g == doctest::Approx(0));
}

TEST_CASE("losses name what is wrong with their input") {
  const Variable e(random_tensor({4, 3}));
  const LabelledPair outside[] = {{0, 4, PairLabel::similar}};
  CHECK_THROWS_WITH_AS(contrastive_loss(e, outside, {}), "contrastive loss: pair (0, 4) of 4 rows", Error);
  CHECK_THROWS_WITH_AS(triplet_loss(e, std::vector<int32_t>(3), {}), "triplet loss: 3 labels for 4 rows", Error);
  CHECK_THROWS_AS(nt_xent_loss(Variable(random_tensor({3, 3})), 1), Error);
  CHECK_THROWS_AS(nt_xent_loss(e, 0), Error);
  CHECK_THROWS_AS(barlow_twins_loss(Variable(random_tensor({3, 3})), 1), Error);
  CHECK_THROWS_AS(barlow_twins_loss(e, -1), Error);
  CHECK_THROWS_WITH_AS(softmax_cross_entropy_loss(e, std::vector<int32_t>{0, 1, 3, 2}),
                       "softmax cross-entropy: label 3, expected 0 to 2", Error);
  CHECK_THROWS_AS(softmax_cross_entropy_loss(e, std::vector<int32_t>{0, -1, 2, 2}), Error);
  CHECK_THROWS_AS(softmax_cross_entropy_loss(e, std::vector<int32_t>(3)), Error);
  CHECK_THROWS_WITH_AS(mse_loss(e, random_tensor({4, 2})),
                       "MSE: targets are f64 [4, 2] on cpu, expected f64 [4, 3] on cpu", Error);
  CHECK_THROWS_AS(bce_loss(e, Tensor({4, 3})), Error);
  CHECK_THROWS_AS(pair_features(e, Variable(random_tensor({4, 2})), PairFeatures::both), Error);
  CHECK_THROWS_WITH_AS(gather_rows(e, std::vector<int32_t>{0, 4}), "gather_rows: row 4 of 4", Error);
  CHECK_THROWS_AS(gather_rows(e, std::vector<int32_t>{-1}), Error);
  CHECK_THROWS_AS(l2_normalize(Variable(random_tensor({3}))), Error);
}

}  // namespace lookalike
