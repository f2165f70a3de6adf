#include "engine/io/child_process.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/resources.h"

namespace lookalike {

bool run_program(std::vector<std::string> arguments, const std::string& said,
                 const std::string& missing, std::optional<int> most_seconds) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (error != 0) throw_if_exhausted(error, arguments[0]);
  error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, said.c_str(),
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  if (error == 0)
    error = posix_spawnp(&child, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  check(error != ENOENT, "{}", missing);
  if (error != 0) throw_if_exhausted(error, "cannot start " + arguments[0]);
  check(error == 0, "cannot start {}: {}", arguments[0], std::strerror(error));
  if (most_seconds) {
    const rlimit limit{rlim_t(*most_seconds), rlim_t(*most_seconds)};
    prlimit(child, RLIMIT_CPU, &limit, nullptr);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    check(errno == EINTR, "{}: {}", arguments[0], std::strerror(errno));
  return status == 0;
}

}  // namespace lookalike
