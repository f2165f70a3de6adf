// A fiber: a function with a stack of its own, that runs until it gives way and goes on from there when it is resumed. What the
// emulator makes of a GPU thread.
#pragma once

#include <cstddef>
#include <functional>

namespace lookalike::simt {

class Fiber {
 public:
  static constexpr size_t kStackBytes = 256 << 10;  // with a page below that must not be touched

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next resume() calls body() from its beginning, on the same stack as before; what the fiber did until then is dropped.
  void start(const std::function<void()>* body);
  // From outside: runs the fiber until it gives way or body() returns.
  void resume();
  // From inside.
  void give_way();

  bool owns(const void* address) const {
    return address >= stack_ && address < static_cast<const std::byte*>(stack_) + kStackBytes;
  }

 private:
  static void enter(Fiber* self);

  void* stack_ = nullptr;
  void *inside_ = nullptr, *outside_ = nullptr;  // stack pointers of whoever does not run
  const std::function<void()>* body_ = nullptr;
};

}  // namespace lookalike::simt
