// What is thrown where the machine, not an input, is at fault. These are no Error: whoever leaves
// out damaged inputs, or lists them, must not take a good one for such because memory ran out while
// it was read.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

namespace lookalike {

// Tells how much was asked for, without asking for more.
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(size_t bytes, size_t in_use) {
    std::snprintf(text_, sizeof text_, "out of memory: %zu bytes asked for, %zu in use", bytes,
                  in_use);
  }
  const char* what() const noexcept override { return text_; }

 private:
  char text_[96];
};

class SystemError : public std::runtime_error {
 public:
  explicit SystemError(const std::string& message) : std::runtime_error(message) {}
};

// Throws where `error`, an errno, says that the process or the machine has too little of something.
inline void throw_if_exhausted(int error, const std::string& doing) {
  if (error == ENOMEM) throw std::bad_alloc();
  if (error == EMFILE || error == ENFILE || error == EAGAIN)
    throw SystemError(doing + ": " + std::strerror(error));
}

}  // namespace lookalike
