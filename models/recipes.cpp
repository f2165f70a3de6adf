#include "models/recipes.h"

#include <algorithm>
#include <filesystem>

#include "engine/core/error.h"
#include "recipe_texts.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSmall = "small-network";
constexpr const char* kDigits = "digits";
constexpr const char* kCifar = "cifar";

constexpr const char* kGroups[] = {"What `lookalike train` chooses from where no recipe is named",
                                   "Pairs, from weights that were trained before", "Pairs, from random weights",
                                   "Classes of images"};

int group_of_recipe(const std::string& name, const Recipe& recipe) {
  for (const char* chosen : {kPretrainedRecipe, kSmall, kDigits, kCifar})
    if (name == chosen) return 0;
  if (!recipe.held_out.empty()) return 3;
  return recipe.start.empty() && recipe.freeze.empty() ? 2 : 1;
}

// The first line, a comment.
std::string purpose_of(const std::string& text) {
  return text.substr(2, text.find('\n') - 2);
}

const char* text_of(const std::string& name) {
  for (const auto& [known, text] : kRecipeTexts)
    if (name == known) return text;
  return nullptr;
}

}  // namespace

std::string list_recipes() {
  std::string groups[std::size(kGroups)];
  for (const auto& [name, text] : kRecipeTexts)
    groups[group_of_recipe(name, parse_recipe(text, name, {}))] +=
        fmt::format("  {}\n    {}\n", name, purpose_of(text));
  std::string result;
  for (size_t i = 0; i < std::size(kGroups); i++)
    result += fmt::format("{}{}:\n{}", i == 0 ? "" : "\n", kGroups[i], groups[i]);
  return result;
}

std::string recipe_text(const std::string& name) {
  if (const char* text = text_of(name)) return text;
  std::vector<std::string> names;
  for (const auto& entry : kRecipeTexts) names.push_back(entry[0]);
  fail("{}: no such recipe{} (`lookalike recipes` lists them)", name, suggestion(fs::path(name).stem(), names));
}

Recipe find_recipe(const std::string& name_or_file, const std::vector<std::string>& overrides) {
  if (fs::exists(name_or_file) && !fs::is_directory(name_or_file)) return read_recipe(name_or_file, overrides);
  return parse_recipe(recipe_text(name_or_file), name_or_file, overrides);
}

DefaultRecipe default_recipe(Layout layout, bool weights_are_here, const std::function<void()>& fetch) {
  switch (layout) {
    case Layout::idx:
      return {kDigits, "it suits IDX files, MNIST and its like"};
    case Layout::cifar10:
    case Layout::cifar100:
      return {kCifar, "it suits the files of CIFAR"};
    case Layout::pairs:
    case Layout::folders:
      break;
  }
  const std::string data = layout == Layout::pairs ? "pairs of pictures" : "folders of pictures";
  try {
    if (!weights_are_here) fetch();
    return {kPretrainedRecipe, data + " train best on the features of a pre-trained network"};
  } catch (const Error& error) {
    return {kSmall, fmt::format("there is no pre-trained network for the {}: {}", data, error.what())};
  }
}

}  // namespace lookalike
