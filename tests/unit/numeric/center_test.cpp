#include "models/center.h"

#include <doctest/doctest.h>

#include "engine/train/checkpoint.h"
#include "tests/temporary_folder.h"

namespace lookalike {

TEST_CASE("a stored mean is taken by its own network with its own preparation of images alone") {
  const TemporaryFolder folder;
  const nlohmann::json config = {{"name", "siamese_cnn"}, {"filters", {2, 2}}, {"kernels", {3, 3}}, {"embedding", 4}};
  const Preprocess images{.height = 8, .width = 8};
  const auto write = [&](const std::string& name, bool center, const Preprocess& preprocess, uint64_t seed) {
    Model model = build_model(config, preprocess, seed, name);
    if (center) set_center(model, Tensor::zeros({4}), name);
    write_checkpoint(folder / name, {model.config, {}, {}, preprocess, tensors_of(state_of(*model.network))});
  };
  Preprocess blue_first = images;
  blue_first.color_order = "bgr";
  write("own.safetensors", false, images, 1);
  write("mean.safetensors", true, images, 1);
  write("other.safetensors", true, images, 2);
  write("bgr.safetensors", true, blue_first, 1);
  const auto use = [&](const std::string& source) {
    Model model = build_model(config, images, 1, "own");
    use_center(model, folder / "own.safetensors", folder / source, {});
    return model.config.value("center", false);
  };
  CHECK(use("mean.safetensors"));
  for (const char* source : {"other.safetensors", "bgr.safetensors"})
    CHECK(error_of([&] { use(source); }).find("its mean is that of another model than") != std::string::npos);
}

}  // namespace lookalike
