// Where the time goes, layer by layer: with LOOKALIKE_PROFILE in the environment every program
// prints a table to standard error at its end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/core/device.h"

namespace lookalike {

enum class ProfilePass : uint8_t { forward, backward };

// The sums of one layer; its address stays the same.
struct ProfiledLayer;

// The layer that this thread is in; null outside of all, and always without LOOKALIKE_PROFILE.
ProfiledLayer* current_layer();

// While one of these lives, this thread's time counts for a layer, but for what is measured within
// it. Without LOOKALIKE_PROFILE it does nothing. What a GPU computes is not waited for: there the
// times are those of launching it.
class ProfileScope {
 public:
  // The layer `name` of the one that this thread is in, forward; nothing on the device meta.
  ProfileScope(const std::string& name, Device device);
  // Backward of what was recorded in `layer`; null: outside of all.
  explicit ProfileScope(ProfiledLayer* layer);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  friend ProfiledLayer* current_layer();
  void begin();

  ProfiledLayer* layer_ = nullptr;
  ProfilePass pass_;
  ProfileScope* outer_ = nullptr;
  double inside_ = 0;  // seconds of the scopes within this one
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lookalike
