// Ctrl-C and SIGTERM as a request to end at the next step, while training runs.
#pragma once

#include <csignal>

namespace lookalike {

class StopSignal {
 public:
  // From here on the first SIGINT or SIGTERM is only noted and the second one ends the process; a signal that is ignored
  // (nohup) stays so. One object at a time.
  StopSignal();
  // Puts back what the signals did before.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // The signal that came, 0 where none did.
  static int received();

 private:
  struct sigaction before_[2];
};

}  // namespace lookalike
