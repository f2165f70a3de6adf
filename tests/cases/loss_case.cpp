// The losses on embeddings. Random normal rows have neither ties nor pairs on a hinge.
#include <cmath>
#include <numeric>

#include "engine/losses/loss.h"
#include "engine/ops/l2_normalize.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

std::vector<int32_t> twin_labels(int64_t rows) {
  std::vector<int32_t> labels(rows);
  for (int64_t i = 0; i < rows; i++) labels[i] = static_cast<int32_t>(i % (rows / 2));
  return labels;
}

const char* const kNegatives[] = {"random", "semi_hard", "batch_hard", "all"};

// Multiples of 1/16: float holds the squared distances of 128 such numbers without rounding, so it mines what double
// does.
void quantise(std::vector<Tensor>& in) {
  for (double& x : in[0].span<double>()) x = std::round(16 * x) / 16;
}

OpFunction triplet(std::vector<int32_t> labels, TripletOptions options) {
  return [=](auto& in) { return triplet_loss(in[0], labels, options).loss; };
}

}  // namespace

static const RegisterOpCases cases([](std::vector<OpCase>& add_case) {
  std::vector<OpCase> add;
  for (int64_t n : {1, 7, 64}) {
    for (Hinge hinge : {Hinge::distance, Hinge::squared}) {
      const double margin = n == 64 ? 14 : 3;  // about half of the negatives active
      add.push_back({.name = fmt::format("contrastive {} pairs, hinge {}", n, static_cast<int>(hinge)),
                     .inputs = {{2 * n, n == 64 ? 100 : 5}},
                     .op = [=](auto& in) {
                       return contrastive_loss(in[0], twin_pairs(n, 3), {margin, n == 7, hinge}).loss;
                     }});
    }
  }
  for (Negatives negatives : {Negatives::random, Negatives::semi_hard, Negatives::batch_hard, Negatives::all}) {
    for (bool squared : {false, true}) {
      const auto name = [&](const char* of) {
        return fmt::format("triplet {}{}, {}", kNegatives[static_cast<int>(negatives)], squared ? " squared" : "", of);
      };
      const TripletOptions options{.margin = 0.7, .squared = squared, .negatives = negatives, .seed = 5};
      add.push_back({.name = name("2 rows"), .inputs = {{2, 3}}, .op = triplet({0, 0}, options)});
      add.push_back({.name = name("uneven classes"),
                     .inputs = {{11, 7}},
                     .op = triplet({4, -1, 4, 9, 4, 9, 0, -1, 4, 4, 9}, options)});
      // The loss is a small difference of large distances.
      add.push_back(
          {.name = name("twins"), .inputs = {{134, 33}}, .op = triplet(twin_labels(134), options), .tolerance = 1e-5});
    }
  }
  for (const Shape& shape : {Shape{0, 3}, Shape{2, 4}, Shape{6, 1}, Shape{62, 33}, Shape{226, 37}}) {
    const double temperature = std::sqrt(static_cast<double>(shape[1]));
    add.push_back({.name = "nt_xent " + shape.to_string(), .inputs = {shape}, .op = [=](auto& in) {
                     return nt_xent_loss(in[0], temperature).loss;
                   }});
  }

  for (const Shape& shape : {Shape{0, 3}, Shape{4, 0}, Shape{10, 1}, Shape{6, 5}, Shape{62, 33}, Shape{34, 72}}) {
    add.push_back({.name = "barlow_twins " + shape.to_string(), .inputs = {shape}, .op = [](auto& in) {
                     return barlow_twins_loss(in[0], 0.05).loss;
                   }});
  }

  // As the models use them.
  add.push_back({.name = "l2_normalize, triplet batch_hard",
                 .inputs = {{46, 19}},
                 .op = [](auto& in) { return triplet_loss(l2_normalize(in[0]), twin_labels(46), {}).loss; },
                 .tolerance = 1e-5});
  add.push_back({.name = "l2_normalize, nt_xent", .inputs = {{46, 19}}, .op = [](auto& in) {
                   return nt_xent_loss(l2_normalize(in[0]), 0.1).loss;
                 }});

  const int64_t d = 128;
  for (int64_t rows : {256, 1024, 4096}) {
    const auto labels = twin_labels(rows);
    const double products = 2. * static_cast<double>(rows * rows * d);  // flops of all similarities
    for (Negatives negatives : {Negatives::semi_hard, Negatives::batch_hard}) {
      add.push_back({.name = fmt::format("triplet {} [{}, {}]", kNegatives[static_cast<int>(negatives)], rows, d),
                     .inputs = {{rows, d}},
                     .op = triplet(labels, {.negatives = negatives}),
                     .prepare = quantise,
                     .tolerance = 1e-5,
                     .bench = true,
                     .flops = products});
    }
    add.push_back({.name = fmt::format("nt_xent [{}, {}]", rows, d),
                   .inputs = {{rows, d}},
                   .op = [](auto& in) { return nt_xent_loss(in[0], 10).loss; },
                   .bench = true,
                   .flops = products});  // four products of a quarter of the size
  }
  add.push_back({.name = "triplet all [1024, 128]",
                 .inputs = {{1024, d}},
                 .op = triplet(twin_labels(1024), {.negatives = Negatives::all}),
                 .prepare = quantise,
                 .tolerance = 1e-4,  // some of a million lie on the hinge
                 .bench = true});

  add.push_back({.name = "barlow_twins [512, 1024]",
                 .inputs = {{512, 1024}},
                 .op = [](auto& in) { return barlow_twins_loss(in[0], 0.005).loss; },
                 .bench = true,
                 .flops = 3 * 2. * 256 * 1024 * 1024});

  for (OpCase& c : add) {
    c.activations = 0;
    add_case.push_back(c);
  }
});

}  // namespace lookalike::testing
