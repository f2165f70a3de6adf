#include "engine/core/profile.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>

#include "engine/core/error.h"
#include "engine/core/output.h"

namespace lookalike {

struct ProfiledLayer {
  std::string name;
  std::array<double, 2> seconds{};  // by ProfilePass
  int64_t calls = 0;                // forward
};

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

thread_local ProfileScope* innermost = nullptr;

class Profile {
 public:
  ~Profile() {
    if (layers_.empty()) return;
    try {
      write_to_stderr(table());
    } catch (...) {
      say_line("not enough memory for the table of LOOKALIKE_PROFILE");
    }
  }

  ProfiledLayer* find(const std::string& name) {
    const std::lock_guard lock(mutex_);
    ProfiledLayer*& layer = by_name_[name];
    if (!layer) layer = &layers_.emplace_back(ProfiledLayer{.name = name});
    return layer;
  }
  void add(ProfiledLayer& layer, ProfilePass pass, double seconds) {
    const std::lock_guard lock(mutex_);
    layer.seconds[static_cast<size_t>(pass)] += seconds;
    layer.calls += pass == ProfilePass::forward;
  }

 private:
  std::string table() const {
    double all = 0;
    for (const ProfiledLayer& layer : layers_) all += layer.seconds[0] + layer.seconds[1];
    std::string lines = fmt::format("{:<34}{:>8}{:>13}{:>14}{:>10}\n", "layer", "calls",
                                    "forward, ms", "backward, ms", "share");
    for (const auto& [name, seconds, calls] : layers_)
      lines += fmt::format("{:<34}{:>8}{:>13.1f}{:>14.1f}{:>9.1f}%\n", printable(name), calls,
                           1e3 * seconds[0], 1e3 * seconds[1],
                           100 * (seconds[0] + seconds[1]) / std::max(all, 1e-9));
    return lines + fmt::format("in layers {:.2f} s of the threads that ran them; {:.2f} s passed since the first\n",
                               all, since(start_));
  }

  const Clock::time_point start_ = Clock::now();
  mutable std::mutex mutex_;
  std::deque<ProfiledLayer> layers_;  // in the order in which they were first seen
  std::map<std::string, ProfiledLayer*> by_name_;
};

// Null without LOOKALIKE_PROFILE.
Profile* profile() {
  static const bool wanted = std::getenv("LOOKALIKE_PROFILE") != nullptr;
  if (!wanted) return nullptr;
  static Profile only;
  return &only;
}

}  // namespace

ProfiledLayer* current_layer() {
  return innermost ? innermost->layer_ : nullptr;
}

ProfileScope::ProfileScope(const std::string& name, Device device) : pass_(ProfilePass::forward) {
  if (!profile() || device == Device::meta) return;
  const ProfiledLayer* outer = current_layer();
  layer_ = profile()->find(outer ? outer->name + "." + name : name);
  begin();
}

ProfileScope::ProfileScope(ProfiledLayer* layer) : layer_(layer), pass_(ProfilePass::backward) {
  if (layer_) begin();
}

void ProfileScope::begin() {
  outer_ = innermost;
  innermost = this;
  start_ = Clock::now();
}

ProfileScope::~ProfileScope() {
  if (!layer_) return;
  const double seconds = since(start_);
  profile()->add(*layer_, pass_, seconds - inside_);
  innermost = outer_;
  if (outer_) outer_->inside_ += seconds;
}

}  // namespace lookalike
