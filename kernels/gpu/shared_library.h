// A shared library that is loaded when it is asked for and never linked, so that a program runs without it.
#pragma once

#include <initializer_list>
#include <string>

#include <dlfcn.h>

namespace lookalike::gpu {

class SharedLibrary {
 public:
  // The first of `names` that loads.
  explicit SharedLibrary(std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (handle_ == nullptr) handle_ = dlopen(name, RTLD_NOW);
    }
    if (handle_ == nullptr) why_not_ = dlerror();
  }
  // Empty, or one line that says what could not be found: the library, or the first of the functions asked for.
  const std::string& why_not() const { return why_not_; }
  // Null where there is none.
  template <class Function>
  Function* function(const char* name) {
    if (handle_ == nullptr) return nullptr;
    void* const found = dlsym(handle_, name);
    if (found == nullptr && why_not_.empty()) why_not_ = dlerror();
    return reinterpret_cast<Function*>(found);
  }

 private:
  void* handle_ = nullptr;
  std::string why_not_;
};

}  // namespace lookalike::gpu
