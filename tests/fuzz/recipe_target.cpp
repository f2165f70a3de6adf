// Recipes and what overrides them.
#include "engine/core/options.h"
#include "engine/train/recipe.h"
#include "models/recipes.h"
#include "tests/fuzz/target.h"

namespace lookalike {

// The run keeps what was resolved and reads it again.
FUZZ_TARGET(recipe) {
  const Recipe recipe = parse_recipe(std::string(bytes), "x", {});
  nlohmann::json all = recipe.resolved;
  all["model"] = recipe.model;
  const Recipe again = parse_recipe(to_toml(all), "copy", {});
  // As text: a NaN, which [model] may hold until the network reads it, is not equal to itself.
  require(again.resolved.dump() == recipe.resolved.dump() && again.model.dump() == recipe.model.dump(),
          "what was written");
  make_schedule(recipe, 7);
}

// Assignments of --set, a line each.
FUZZ_TARGET(set) {
  std::vector<std::string> overrides;
  while (!bytes.empty()) overrides.emplace_back(take_part(bytes, '\n'));
  const Recipe recipe = find_recipe("small-network", overrides);
  parse_recipe(to_toml(recipe.resolved), "copy", {});
}

}  // namespace lookalike
