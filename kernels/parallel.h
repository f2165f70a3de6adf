// How CPU kernels use the machine: parallel_for splits work over threads, simd() runs a loop compiled for the widest
// vectors this processor has. Both leave the results independent of the number of threads: a reduction splits its work
// into chunks that depend on the sizes alone, writes one partial result for each chunk, and adds them up in order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

#include <omp.h>

namespace lookalike::cpu {

// Instruction set levels of x86-64 that the kernels are compiled for.
enum class Isa { base, avx2, avx512 };

// The best level of this processor; the environment variable LOOKALIKE_ISA = base | avx2 | avx512 can lower it.
Isa isa();
const char* name_of(Isa isa);

namespace detail {
// Everything that `body` calls is inlined into a function compiled for one instruction set, so its plain loops are
// vectorised for it.
template <class Body>
__attribute__((flatten, noinline, target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512"))) void
run_avx512(const Body& body) {
  Body local = body;
  local();
}
template <class Body>
__attribute__((flatten, noinline, target("avx2,fma"))) void run_avx2(const Body& body) {
  Body local = body;
  local();
}
}  // namespace detail

// Runs body() with its loops vectorised for this processor.
template <class Body>
void simd(const Body& body) {
#if defined(__x86_64__)
  switch (isa()) {
    case Isa::avx512:
      return detail::run_avx512(body);
    case Isa::avx2:
      return detail::run_avx2(body);
    case Isa::base:
      break;
  }
#endif
  body();
}

// Threads that a kernel shares its work with: within a parallel region there is but the one that calls it.
inline int64_t free_threads() {
  return omp_in_parallel() ? 1 : omp_get_max_threads();
}

// Runs the pieces of a parallel region, which no exception may leave: the first one waits for the
// end of it, and the pieces that begin after it are left out.
class Guarded {
 public:
  template <class Body>
  void run(const Body& body) noexcept {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      body();
    } catch (...) {
      if (!failed_.exchange(true)) thrown_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::atomic<bool> failed_ = false;
  std::exception_ptr thrown_;
};

// body(begin, end) over [0, n) in contiguous pieces, one a thread; fewer threads where a piece
// would have less than `grain` items. Which piece runs where must not change any result. What a
// body throws is thrown here once all threads are done.
template <class Body>
void parallel_for(int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  const int64_t pieces = std::min<int64_t>(omp_get_max_threads(), (n + grain - 1) / grain);
  if (pieces <= 1 || omp_in_parallel()) return body(int64_t{0}, n);
  Guarded guarded;
#pragma omp parallel for num_threads(pieces) schedule(static, 1)
  for (int64_t piece = 0; piece < pieces; piece++)
    guarded.run([&] { body(n * piece / pieces, n * (piece + 1) / pieces); });
  guarded.rethrow();
}

// body(i) for each i of [0, n), a piece of work that the next free thread takes; throws as
// parallel_for does.
template <class Body>
void parallel_pieces(int64_t n, const Body& body) {
  Guarded guarded;
#pragma omp parallel for schedule(dynamic, 1) if (n > 1 && free_threads() > 1)
  for (int64_t i = 0; i < n; i++) guarded.run([&] { body(i); });
  guarded.rethrow();
}

// body(i) for each i of [0, n), over threads and vector lanes: what an elementwise kernel is made of.
template <class Body>
void vector_for(int64_t n, const Body& body) {
  parallel_for(n, 16384, [&](int64_t begin, int64_t end) {
    simd([=] {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; i++) body(i);
    });
  });
}

}  // namespace lookalike::cpu
