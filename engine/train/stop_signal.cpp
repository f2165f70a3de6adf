#include "engine/train/stop_signal.h"

#include <atomic>

namespace lookalike {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM};

std::atomic<int> signal_received{0};
static_assert(std::atomic<int>::is_always_lock_free);  // a handler may touch nothing else

void note(int signal) {
  signal_received = signal;
  struct sigaction end {};
  end.sa_handler = SIG_DFL;
  for (const int each : kSignals) sigaction(each, &end, nullptr);
}

}  // namespace

StopSignal::StopSignal() {
  signal_received = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;  // files are written to their end
  for (int i = 0; i < 2; i++) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  for (int i = 0; i < 2; i++) sigaction(kSignals[i], &before_[i], nullptr);
}

int StopSignal::received() {
  return signal_received;
}

}  // namespace lookalike
