// The recipes of models/recipes/*.toml, which travel in the binary, by name; and which of them
// suits a data folder.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/data/classes.h"
#include "engine/train/recipe.h"

namespace lookalike {

// A line for each recipe with what it is for, its first line, under headings and within 80 columns.
std::string list_recipes();

// The text of the recipe of that name. Error that names the nearest.
std::string recipe_text(const std::string& name);

// The recipe of that file or, where there is no such file, of that name.
Recipe find_recipe(const std::string& name_or_file, const std::vector<std::string>& overrides);

// What `lookalike train` takes where nobody names a recipe, and why, as words that follow "recipe
// NAME: ".
struct DefaultRecipe {
  std::string name, why;
};
inline constexpr const char* kPretrainedRecipe = "pretrained-head";

// `weights_are_here`: those that kPretrainedRecipe starts from; else `fetch` gets them, or throws
// an Error.
DefaultRecipe default_recipe(Layout layout, bool weights_are_here, const std::function<void()>& fetch);

}  // namespace lookalike
