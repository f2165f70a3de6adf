#include "kernels/parallel.h"

#include <atomic>
#include <new>
#include <stdexcept>

#include <doctest/doctest.h>

#include "engine/core/storage.h"
#include "engine/io/child_process.h"
#include "tests/temporary_folder.h"

namespace lookalike {

TEST_CASE("what a body throws leaves a parallel region as it would leave a loop") {
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2, 4}) {
    omp_set_num_threads(count);
    CHECK_THROWS_AS(cpu::parallel_for(100, 1,
                                      [](int64_t, int64_t end) {
                                        if (end == 100) throw std::bad_alloc();
                                      }),
                    std::bad_alloc);
    CHECK_THROWS_AS(cpu::parallel_pieces(100,
                                         [](int64_t i) {
                                           if (i % 7 == 3) throw std::length_error("here");
                                         }),
                    std::length_error);
    std::atomic<int64_t> sum = 0;
    cpu::parallel_pieces(100, [&](int64_t i) { sum += i; });
    CHECK(sum == 4950);
  }
  omp_set_num_threads(threads);
}

TEST_CASE("blocks of memory come back in the order in which they were given up") {
  constexpr size_t kBytes = 12'345'678;  // of a size that nobody else asks for
  std::byte* const first = arena_allocate(kBytes).get();
  {
    const auto a = arena_allocate(kBytes), b = arena_allocate(kBytes);
    CHECK(a.get() == first);
    CHECK(b.get() != first);
  }
  CHECK(arena_allocate(kBytes).get() == first);
}

TEST_CASE("a program that is not installed is another thing than one that fails") {
  const TemporaryFolder folder;
  CHECK(run_program({"true"}, "/dev/null", "missing"));
  CHECK(!run_program({"false"}, "/dev/null", "missing"));
  CHECK(!run_program({"sh", "-c", "while :; do :; done"}, "/dev/null", "missing", 1));
  CHECK_THROWS_WITH(run_program({"no-such-program-here"}, "/dev/null", "missing"), "missing");
  CHECK(run_program({"sh", "-c", "echo out; echo err >&2"}, folder / "said", "missing"));
  CHECK(read_bytes(folder / "said") == "out\nerr\n");
}

}  // namespace lookalike
