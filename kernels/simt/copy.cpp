// cp.async: the target is poison from the start of the copy until the wait of the thread that started it.
#include <fmt/format.h>

#include "kernels/simt/emulator.h"

namespace lookalike::simt {

void cp_async(void* shared, const void* global, int bytes, bool valid) {
  Emulator& e = emulator();
  auto* const to = static_cast<std::byte*>(shared);
  if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || (valid && reinterpret_cast<uintptr_t>(global) % bytes != 0)) {
    e.fail(fmt::format("cp.async of {} bytes: an address is not aligned to them", bytes));
  }
  void* const pc = __builtin_return_address(0);
  if (valid) e.access(global, bytes, false, pc);
  count_access(AccessKind::shared_store, shared, bytes, pc);
  e.check_shared(to, bytes, true, pc);
  memset(to, 0xFF, bytes);
  for (Cell& cell : e.cells_of_shared(to, bytes)) cell.pending = true;
  e.running->copies.back().push_back({to, static_cast<const std::byte*>(global), bytes, valid});
}

void cp_async_commit() {
  emulator().running->copies.emplace_back();
}

void cp_async_wait(int pending) {
  Emulator& e = emulator();
  auto& groups = e.running->copies;
  while (std::ssize(groups) - 1 > pending) {
    for (const Copy& copy : groups.front()) {
      if (copy.valid)
        memcpy(copy.to, copy.from, copy.bytes);
      else
        memset(copy.to, 0, copy.bytes);
      for (Cell& cell : e.cells_of_shared(copy.to, copy.bytes)) cell.pending = false;
      e.check_shared(copy.to, copy.bytes, true, __builtin_return_address(0));
    }
    groups.erase(groups.begin());
  }
}

}  // namespace lookalike::simt
