// Embedding of image files, which takes them piece by piece.
#include "engine/eval/embed.h"

#include <map>

#include <doctest/doctest.h>
#include <omp.h>

#include "models/model.h"
#include "tests/op_case.h"
#include "tests/unit/data_files.h"

namespace lookalike::testing {
namespace {

TEST_CASE("files are embedded as images in memory are, across pieces, in their order") {
  const DataFolder folder;
  constexpr int kFiles = 600;  // three pieces, the last one short
  std::vector<std::string> files;
  for (int i = 0; i < kFiles; i++) {
    files.push_back(folder.write(fmt::format("{}.png", i), encode_png(test_image(6, 6, 3, i))));
  }
  const Preprocess preprocess{.height = 6, .width = 6};
  const Model model = build_model({{"name", "convnet_bn"}, {"channels", {4, 4}}, {"pool_after", {1}}, {"embedding", 5}},
                                  preprocess, 0, "test");

  const ImageStore store(files, preprocess);
  const Tensor want = embed(*model.network, store, store.all());
  EmbedTimes times;
  const Tensor got = embed_files(*model.network, files, preprocess, {}, &times);
  CHECK(got.shape() == Shape{kFiles, 5});
  CHECK(std::equal(got.raw(), got.raw() + got.bytes(), want.raw()));
  CHECK((times.decoding > 0 && times.network > 0));
  CHECK((times.total >= times.network && times.total <= times.decoding + times.network + 1));

  folder.write("300.png", "no image");  // decoded while the first piece goes through the network
  CHECK_THROWS_WITH_AS(embed_files(*model.network, files, preprocess), doctest::Contains(files[300].c_str()), Error);
}

TEST_CASE("threads that embed images of their own convolve as the calling one is to") {
  const Model model =
      build_model({{"name", "convnet_bn"}, {"channels", {32, 32}}, {"pool_after", {1, 2}}, {"embedding", 5}},
                  {.height = 96, .width = 96}, 0, "test");
  const Variable images(random_tensor({24, 96, 96, 3}, DType::f32));
  const int before = omp_get_max_threads();
  omp_set_num_threads(2);
  std::map<ConvBackend, Tensor> results;
  for (const ConvBackend backend : {ConvBackend::native, ConvBackend::exact}) {
    choose_conv(backend);
    results[backend] = forward_in_parallel(*model.network, images).value();
    const NoGrad no_grad;
    CHECK(same_bits(model.network->forward(images, {}).value(), results[backend]));
  }
  choose_conv(ConvBackend::native);
  omp_set_num_threads(before);
  CHECK(!same_bits(results[ConvBackend::native], results[ConvBackend::exact]));
}

TEST_CASE("embeddings are handed out with length 1 where cosine compares them") {
  Network network;
  const Tensor rows = Tensor::from({1, 2}, std::vector<float>{3, 4});
  CHECK(comparable_rows(network, rows).data<float>()[1] == doctest::Approx(0.8));
  network.similarity = Similarity::negative_distance;
  CHECK(comparable_rows(network, rows).data<float>()[1] == 4);
}

}  // namespace
}  // namespace lookalike::testing
