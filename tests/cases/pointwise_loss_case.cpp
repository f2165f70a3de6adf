// The losses on outputs and logits: element by element, and over classes.
#include <cmath>

#include "engine/losses/loss.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Into [margin, 1 - margin].
void squeeze(Tensor& tensor, double margin) {
  for (double& x : tensor.span<double>()) x = margin + (1 - 2 * margin) / (1 + std::exp(-x));
}

std::vector<int32_t> some_classes(int64_t rows, int64_t classes) {
  std::vector<int32_t> labels(rows);
  for (int64_t i = 0; i < rows; i++) labels[i] = static_cast<int32_t>((3 * i + i / 5) % classes);
  return labels;
}

OpCase pointwise(const std::string& name, const Shape& shape, LossResult (*loss)(const Variable&, const Tensor&),
                 bool probabilities) {
  return {.name = name + " " + shape.to_string(),
          .inputs = {shape, shape},
          .op = [=](auto& in) { return loss(in[0], in[1].value()).loss; },
          .prepare =
              [=](auto& in) {
                squeeze(in[1], 0);
                if (probabilities) squeeze(in[0], 0.02);
              },
          .differentiable = {true, false},
          .activations = 2};
}

OpCase softmax(const Shape& shape) {
  return {.name = "softmax_cross_entropy " + shape.to_string(), .inputs = {shape}, .op = [=](auto& in) {
            return softmax_cross_entropy_loss(in[0], some_classes(shape[0], shape[1])).loss;
          }};
}

}  // namespace

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const Shape& shape : {Shape{}, Shape{0, 3}, Shape{31}, Shape{2, 5, 7, 3}, Shape{2, 33, 40}}) {
    add.push_back(pointwise("bce_with_logits", shape, bce_with_logits_loss, false));
    add.push_back(pointwise("bce", shape, bce_loss, true));
    add.push_back(pointwise("mse", shape, mse_loss, false));
  }
  for (const Shape& shape :
       {Shape{0, 4}, Shape{1, 1}, Shape{7, 2}, Shape{31, 10}, Shape{5, 33}, Shape{67, 40}, Shape{2, 1000}}) {
    add.push_back(softmax(shape));
  }

  // The images of an autoencoder.
  const Shape images{32, 128, 128, 1};
  for (OpCase c : {pointwise("bce_with_logits", images, bce_with_logits_loss, false),
                   pointwise("bce", images, bce_loss, true), pointwise("mse", images, mse_loss, false)}) {
    c.bench = true, c.bytes = 5 * 4. * static_cast<double>(images.size());
    add.push_back(c);
  }
  OpCase classes = softmax({256, 1000});
  classes.bench = true, classes.bytes = 4 * 4. * 256 * 1000;
  add.push_back(classes);
});

}  // namespace lookalike::testing
