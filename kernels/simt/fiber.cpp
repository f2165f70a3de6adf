#include "kernels/simt/fiber.h"

#include <cstdint>
#include <new>

#include <sys/mman.h>

#ifndef __x86_64__
#error "the emulator switches stacks in x86-64 assembly"
#endif

// Saves what the System V ABI wants kept, stores the stack pointer in *from, and goes on with the one that `to` holds.
extern "C" void lookalike_switch_stack(void** from, void* to);
asm(R"(
.text
.globl lookalike_switch_stack
.type lookalike_switch_stack, @function
lookalike_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size lookalike_switch_stack, .-lookalike_switch_stack
// The first thing that a new stack returns to: enter(rbx).
.globl lookalike_enter_fiber
.type lookalike_enter_fiber, @function
lookalike_enter_fiber:
  movq %rbx, %rdi
  callq *%r12
  ud2
.size lookalike_enter_fiber, .-lookalike_enter_fiber
.section .note.GNU-stack,"",@progbits
.text
)");
extern "C" void lookalike_enter_fiber();

namespace lookalike::simt {
namespace {

constexpr size_t kPage = 4096;

}  // namespace

Fiber::~Fiber() {
  if (stack_) munmap(static_cast<std::byte*>(stack_) - kPage, kStackBytes + kPage);
}

void Fiber::start(const std::function<void()>* body) {
  if (!stack_) {
    void* memory =
        mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, kPage, PROT_NONE);
    stack_ = static_cast<std::byte*>(memory) + kPage;
  }
  body_ = body;
  // As lookalike_switch_stack leaves a stack: r15, r14, r13, r12, rbx, rbp, the address to return to; behind it the stack is
  // aligned to 16 bytes as a called function expects.
  auto** top = reinterpret_cast<void**>(static_cast<std::byte*>(stack_) + kStackBytes) - 2;
  *--top = reinterpret_cast<void*>(lookalike_enter_fiber);
  *--top = nullptr;                                 // rbp
  *--top = this;                                    // rbx
  *--top = reinterpret_cast<void*>(&Fiber::enter);  // r12
  for (int i = 0; i < 3; i++) *--top = nullptr;
  inside_ = top;
}

void Fiber::enter(Fiber* self) {
  (*self->body_)();
  self->give_way();
}

void Fiber::resume() {
  lookalike_switch_stack(&outside_, inside_);
}

void Fiber::give_way() {
  lookalike_switch_stack(&inside_, outside_);
}

}  // namespace lookalike::simt
