#include "engine/ops/activation.h"
#include "engine/ops/add.h"
#include "engine/ops/views.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add_case) {
  for (const Shape& shape : {Shape{3, 31}, Shape{1, 2, 3, 4}, Shape{2, 5, 1, 33}, Shape{0, 7}}) {
    const std::string of = " " + shape.to_string();
    add_case.push_back({.name = "add" + of,
                        .inputs = {shape, shape},
                        .op = [](auto& in) { return add(in[0], in[1]); },
                        .activations = 2});
    add_case.push_back({.name = "add, relu" + of,
                        .inputs = {shape, shape},
                        .op = [](auto& in) { return add(in[0], in[1], {ActivationKind::relu}); },
                        .same_as = [](auto& in) { return relu(add(in[0], in[1])); },
                        .activations = 2,
                        .kinks = true});
    add_case.push_back(
        {.name = "add to itself" + of, .inputs = {shape}, .op = [](auto& in) { return add(in[0], in[0]); }});
    add_case.push_back({.name = "flatten" + of, .inputs = {shape}, .op = [](auto& in) { return flatten(in[0]); }});
    add_case.push_back({.name = "stack_views" + of,
                        .inputs = {shape, shape, shape},
                        .op =
                            [](auto& in) {
                              return stack_views({in[0], in[1], in[2]});
                            },
                        .activations = 3});
    // The gradient of a stacked view must not be memory that the other views' gradients live in.
    add_case.push_back({.name = "stack_views of a sum" + of,
                        .inputs = {shape, shape},
                        .op =
                            [](auto& in) {
                              const Variable sum = add(in[0], in[1]);
                              return stack_views({in[1], sum, sum});
                            },
                        .activations = 2});
    add_case.push_back({.name = "split_views" + of, .inputs = {shape.with_rows(2 * shape[0])}, .op = [](auto& in) {
                          const auto views = split_views(in[0], 2);
                          return add(views[0], add(views[1], views[1]));
                        }});
    add_case.push_back({.name = "split_views of stack_views" + of,
                        .inputs = {shape, shape},
                        .op =
                            [](auto& in) {
                              const auto views = split_views(stack_views({in[0], in[1]}), 2);
                              return add(views[0], add(views[1], views[1]));
                            },
                        .same_as = [](auto& in) { return add(in[0], add(in[1], in[1])); },
                        .activations = 2});
  }
});

}  // namespace lookalike::testing
