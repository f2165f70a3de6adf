// lookalike recipes [NAME]: what each recipe is for, or the text of one.
#include <memory>
#include <string>

#include "models/recipes.h"
#include "tools/commands.h"

namespace lookalike {

void add_recipes_command(CLI::App& app) {
  auto* command = app.add_subcommand("recipes", "List the recipes and what each is for, or print one");
  auto name = std::make_shared<std::string>();
  command->footer("lookalike recipes\nlookalike recipes emoji-best >my.toml");
  command->add_option("NAME", *name, "Print this recipe");
  command->callback([name] { print_text(name->empty() ? list_recipes() : recipe_text(*name)); });
}

}  // namespace lookalike
