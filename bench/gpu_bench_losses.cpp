#include "bench/gpu_bench.h"
#include "kernels/barlow_twins.h"
#include "kernels/nt_xent.h"
#include "kernels/top_k.h"
#include "kernels/triplet.h"

namespace lookalike {

void bench_losses(Bench& bench) {
  for (const int64_t columns : bench.tiny ? std::vector<int64_t>{128} : std::vector<int64_t>{512, 2048, 8192}) {
    const std::string name = fmt::format("barlow_twins {}", columns);
    if (!bench.wants(name)) continue;
    const auto c = random_array<float>(columns * columns), loss = random_array<float>(1);
    const auto work = std::make_shared<Array<double>>(cuda::barlow_twins_workspace(columns));
    bench.add(name, "fp32", 2 * 4. * static_cast<double>(columns * columns), 0, {[=](gpu::Stream on) {
                cuda::barlow_twins(c->data(), columns, 1, 0.005, work->data(), loss->data(), on);
              }});
  }
  const int64_t d = bench.tiny ? 64 : 128;
  for (const int64_t n : bench.tiny ? std::vector<int64_t>{128} : std::vector<int64_t>{256, 1024, 4096, 8192}) {
    const double nd = static_cast<double>(n), dd = static_cast<double>(d);
    const auto e = random_array<float>(2 * n * d, 1 / std::sqrt(dd)), de = random_array<float>(2 * n * d);
    const auto loss = std::make_shared<Array<float>>(1);
    const auto sums = std::make_shared<Array<DistanceSums>>(1);
    const auto work = std::make_shared<Array<float>>(
        std::max(cuda::nt_xent_workspace(n, d), cuda::triplet_workspace(Mining::batch_hard, n, d, n)));
    // Three products of n n d each way: similarities twice, gradients of both sides.
    if (const std::string name = fmt::format("nt_xent {}", n); bench.wants(name)) {
      bench.add(name, "fp32", 4 * 4 * nd * dd, 12 * nd * nd * dd, {[=](gpu::Stream on) {
                  cuda::nt_xent(e->data(), n, d, 0.1, work->data(), de->data(), loss->data(), sums->data(), on);
                }});
    }
    // Classes of two rows, each row an anchor.
    std::vector<int32_t> of_row, rows, begin{0};
    std::vector<Triplet> list;
    for (int32_t i = 0; i < n; i++) {
      of_row.push_back(i / 2), rows.push_back(i), list.push_back({i, i ^ 1, (i + 2) % static_cast<int32_t>(n)});
      if (i % 2 == 1) begin.push_back(i + 1);
    }
    const auto classes = upload(of_row), order = upload(rows), firsts = upload(begin);
    const auto triplets = upload(list);
    if (const std::string name = fmt::format("triplet batch_hard {}", n); bench.wants(name)) {
      bench.add(name, "fp32", 4 * 2 * nd * dd, 2 * nd * nd * dd, {[=](gpu::Stream on) {
                  cuda::triplet(Mining::batch_hard, {0.5, false}, e->data(), n, d,
                                {classes->data(), order->data(), firsts->data()}, triplets->data(), n, 1 / nd,
                                work->data(), de->data(), loss->data(), sums->data(), on);
                }});
    }
  }
}

void bench_top_k(Bench& bench) {
  const int64_t n = bench.tiny ? 2048 : 1 << 20, d = bench.tiny ? 64 : 128;
  const auto database = random_array<float>(n * d);
  for (const int64_t q : {1, 64, 1024}) {
    for (const int64_t k : {10, 100, 1024}) {
      const std::string name = fmt::format("top_k {} of {}, {} queries", k, n, q);
      if (!bench.wants(name) || k > n || (bench.tiny && q > 1)) continue;
      const auto queries = random_array<float>(q * d), scores = std::make_shared<Array<float>>(q * k);
      const auto indices = std::make_shared<Array<int64_t>>(q * k);
      const auto work = std::make_shared<Array<uint64_t>>(cuda::top_k_workspace(q, n, k));
      bench.add(name, "fp32", 4. * static_cast<double>(n * d), 2. * static_cast<double>(q * n * d),
                {[=](gpu::Stream on) {
                  cuda::top_k(queries->data(), database->data(), q, n, d, k, work->data(), scores->data(),
                              indices->data(), on);
                }});
    }
  }
}

}  // namespace lookalike
