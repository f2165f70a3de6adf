// fault_driver LOOKALIKE INJECT.so [--spread N] [--jobs N] [--commands TEXT] [--kinds KIND,...]:
// runs every command on tiny data and has each call of each kind (plan.h) fail, one a run, alone
// and with all calls after it; with --spread N calls of each kind and command. What must hold of a
// run:
//   status 0   everything that it wrote and said is that of a run without a fault; or
//   status 1   one line on stderr begins with "lookalike: ", it is the last, others are as in that
//              run; each file is the old one or the new one, no other is left, and where a training
//              stopped, it goes on to the same end.
// Ends with a table, and with status 1 where something did not hold.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/commands.h"
#include "tests/faults/plan.h"

namespace lookalike::faults {
namespace {

namespace fs = std::filesystem;

// The files of a folder by path, with what they hold; folders end in "/".
using Tree = std::map<std::string, std::string>;

constexpr const char* kNoMessage = "not enough memory for a message";

struct Result {
  int status = 0;  // of wait()
  bool timed_out = false, failed = false;
  std::string out, err;
};

Tree tree_of(const fs::path& folder) {
  Tree tree;
  std::error_code none;
  for (fs::recursive_directory_iterator entry(folder, none), end; entry != end; ++entry) {
    const std::string name = fs::relative(entry->path(), folder);
    if (entry->is_directory())
      tree[name + "/"] = "";
    else
      tree[name] = contents(entry->path());
  }
  return tree;
}

// A text without the figures of lines that tell how long something took.
std::string without_times(const std::string& text) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    const bool timed =
        line.find("images/s") != line.npos || line.find("images_per_second") != line.npos;
    for (size_t i = 0; i < line.size(); i++) {
      const auto figure = [&](size_t at) {
        return timed && (std::isdigit(line[at]) || std::strchr(".e+-", line[at]));
      };
      if (!figure(i)) result += line[i];
    }
    result += '\n';
  }
  return result;
}

bool same_file(const std::string& name, const std::string& a, const std::string& b) {
  return a == b || (name.ends_with(".jsonl") && without_times(a) == without_times(b));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The program with one command line, run again and again in forks of one process.
class Server {
 public:
  Server(const std::string& program, const std::string& library,
         const std::vector<std::string>& arguments, const fs::path& root,
         const std::string& counts) {
    int requests[2], answers[2];
    if (pipe2(requests, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) std::abort();
    process_ = fork();
    if (process_ == 0) {
      const int from = dup(requests[0]), to = dup(answers[1]);
      setenv("LOOKALIKE_FAULT_SERVER", fmt::format("{},{}", from, to).c_str(), 1);
      setenv("LOOKALIKE_FAULT_COUNTS", counts.c_str(), 1);
      setenv("LD_PRELOAD", library.c_str(), 1);
      setenv("OMP_NUM_THREADS", "2", 1);
      setenv("GOMP_SPINCOUNT", "0", 1);
      setenv("TMPDIR", "tmp", 1);
      setenv("LOOKALIKE_WEIGHTS", (root / "none").c_str(), 1);
      const rlimit no_core{0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      std::vector<char*> pointers{const_cast<char*>(program.c_str())};
      for (const std::string& argument : arguments)
        pointers.push_back(const_cast<char*>(argument.c_str()));
      pointers.push_back(nullptr);
      execv(program.c_str(), pointers.data());
      _exit(127);
    }
    close(requests[0]), close(answers[1]);
    to_ = requests[1], from_ = answers[0];
  }
  ~Server() {
    close(to_), close(from_);
    waitpid(process_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Result run(const Plan& plan, const fs::path& folder) {
    constexpr int kTimeout = 120'000;  // ms
    Request request{.plan = plan, .folder = {}, .out = {}, .err = {}};
    folder.string().copy(request.folder, sizeof request.folder - 1);
    std::strcpy(request.out, "../out.txt"), std::strcpy(request.err, "../err.txt");
    if (::write(to_, &request, sizeof request) != sizeof request) std::abort();
    Result result;
    // The server tells no process before it has ended, so a run that hangs is ended by way of its
    // parent.
    pollfd waiting{.fd = from_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, kTimeout) != 1) {
      result.timed_out = true;
      std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", process_));
      for (pid_t child; children >> child;) kill(child, SIGKILL);
    }
    int answer[2];
    if (::read(from_, answer, sizeof answer) != sizeof answer) {
      fmt::print("the program does not start\n");
      std::exit(1);
    }
    result.status = answer[1];
    result.out = contents(folder / "../out.txt"), result.err = contents(folder / "../err.txt");
    return result;
  }

 private:
  pid_t process_;
  int to_, from_;
};

class Faults {
 public:
  Faults(const std::string& program, const std::string& library)
      : program_(fs::canonical(program)), library_(fs::canonical(library)) {
    std::string name = (fs::temp_directory_path() / "lookalike_faults_XXXXXX").string();
    root_ = mkdtemp(name.data());
    make_inputs(root_, program_);
    inputs_ = inputs();
    commands_ = list_commands();
  }
  ~Faults() { fs::remove_all(root_); }

  int run(int64_t spread, int jobs, const std::string& only, const std::vector<std::string>& kinds);

 private:
  struct Reference {
    Tree before, after;
    std::string out, err;
    uint64_t calls[kKinds], allocations_at_rename[32];
  };
  // The runs of a command with one kind of call, a few of them.
  struct Task {
    size_t command;
    uint32_t kind, onwards;
    std::vector<uint64_t> ns;
  };
  struct Tally {
    std::atomic<uint64_t> runs, same, refused, wrong;
  };

  fs::path workplace(int job) const { return root_ / fmt::format("job{}", job) / "work"; }
  void lay_out(const Command& command, int job) const;
  Reference reference_of(const Command& command);
  std::string wrong_with(const Command& command, const Reference& reference, const Plan& plan,
                         const Result& result, int job, Server* go_on);
  void work(const std::vector<Task>& tasks, std::atomic<size_t>& at, Tally* tallies, int job);

  fs::path program_, library_, root_;
  std::vector<Command> commands_;
  std::vector<Reference> references_;
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> inputs_;
  std::string counts(int job) const { return root_ / fmt::format("counts{}", job); }
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> inputs() const;
};

std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> Faults::inputs() const {
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> found;
  for (const auto& entry : fs::recursive_directory_iterator(root_ / "in"))
    found[entry.path()] = {entry.is_regular_file() ? entry.file_size() : 0,
                           entry.last_write_time()};
  return found;
}

void Faults::lay_out(const Command& command, int job) const {
  const fs::path folder = workplace(job);
  fs::remove_all(folder);
  fs::create_directories(folder / "tmp");
  if (!command.before.empty())
    fs::copy(root_ / "old" / command.before, folder / "out", fs::copy_options::recursive);
}

Faults::Reference Faults::reference_of(const Command& command) {
  Reference reference;
  lay_out(command, 0);
  reference.before = tree_of(workplace(0));
  for (const bool again : {false, true}) {
    lay_out(command, 0);
    put(counts(0), std::string(sizeof(Counts), '\0'));
    Server fresh(program_, library_, command.arguments, root_, counts(0));
    const Result result = fresh.run({}, workplace(0));
    if (result.status != 0 || result.timed_out) {
      fmt::print("{}: status {:#x} without a fault: {}\n", command.name, result.status, result.err);
      std::exit(1);
    }
    const Tree after = tree_of(workplace(0));
    if (!again) {
      reference.after = after, reference.out = without_times(result.out),
      reference.err = without_times(result.err);
      const std::string bytes = contents(counts(0));
      std::memcpy(reference.calls, bytes.data() + offsetof(Counts, calls), sizeof reference.calls);
      std::memcpy(reference.allocations_at_rename,
                  bytes.data() + offsetof(Counts, allocations_at_rename),
                  sizeof reference.allocations_at_rename);
      continue;
    }
    for (const auto& [name, text] : after)
      if (!same_file(name, text, reference.after[name]))
        fmt::print("{}: {} changes from run to run\n", command.name, name);
    if (without_times(result.out) != reference.out || without_times(result.err) != reference.err)
      fmt::print("{}: says something else from run to run\n", command.name);
  }
  return reference;
}

std::string Faults::wrong_with(const Command& command, const Reference& reference, const Plan& plan,
                               const Result& result, int job, Server* go_on) {
  if (result.timed_out) return "hangs";
  if (WIFSIGNALED(result.status)) return fmt::format("ended by signal {}", WTERMSIG(result.status));
  const int status = WEXITSTATUS(result.status);
  const Tree tree = tree_of(workplace(job));
  if (inputs() != inputs_) return "changed its input";
  // What cannot be removed, put back, told or looked into by then stays under its hidden name.
  const auto may_stay = [&](const std::string& name) {
    const bool onwards =
        plan.onwards && (plan.kind == kRename || plan.kind == kOpen || plan.kind == kStat);
    return (onwards || plan.kind == kUnlink) && name.find(".lookalike-") != name.npos;
  };
  const auto is_reference = [&](const Tree& other) -> std::string {
    for (const auto& [name, text] : reference.after) {
      const auto found = other.find(name);
      if (found == other.end()) return name + " is not there";
      if (!same_file(name, found->second, text)) return name + " is another";
    }
    for (const auto& [name, text] : other)
      if (!reference.after.contains(name) && !may_stay(name)) return name + " was left behind";
    return "";
  };
  std::vector<std::string> said = lines_of(without_times(result.err));
  const std::vector<std::string> usual = lines_of(reference.err);
  const auto is_usual = [&](const std::string& line) {
    return std::ranges::count(usual, line) > 0;
  };
  if (status == 0) {
    // Whoever asks for it is told what was left out.
    const auto is_left_out = [](const std::string& line) {
      return line.starts_with("skipped: cannot read ");
    };
    if (command.leaves_out() && std::ranges::any_of(said, is_left_out)) return "";
    if (const std::string what = is_reference(tree); !what.empty()) return "status 0, and " + what;
    if (without_times(result.out) != reference.out) return "status 0, and it says: " + result.out;
    if (plan.kind == kMessage)
      return std::ranges::all_of(said, is_usual) ? "" : "status 0, and stderr: " + result.err;
    // A message can be lost, which is told; the result cannot.
    const bool lost = std::erase(said, kNoMessage) > 0 && std::ranges::all_of(said, is_usual);
    return said == usual || lost ? "" : "status 0, and stderr: " + result.err;
  }
  if (status != 1) return fmt::format("status {}: {}", status, result.err);
  if (plan.kind == kMessage) return "status 1 for a message that nobody reads: " + result.err;
  if (said.empty() || !lines_of(result.err).back().starts_with("lookalike: "))
    return "no clean line: " + result.err;
  const auto is_wrong = [&](const std::string& line) {
    return line.starts_with("lookalike: ") ||
           (!is_usual(line) && !command.explains(line) && line != kNoMessage);
  };
  if (std::any_of(said.begin(), said.end() - 1, is_wrong)) return "more than a line: " + result.err;
  if (command.name.starts_with("data check")) return "";  // which lists what it cannot read
  if (!reference.out.starts_with(without_times(result.out)) && !result.out.empty())
    return "it says: " + result.out;
  if (command.training) {
    for (const auto& [name, text] : tree) {
      if (!reference.after.contains(name) && !may_stay(name)) return name + " was left behind";
    }
    const fs::path run =
        workplace(job) / (fs::exists(workplace(job) / "out/run") ? "out/run" : "out");
    if (!fs::exists(run / "last.safetensors")) return "";
    const Result rest = go_on->run({}, workplace(job));
    if (rest.status != 0 || rest.timed_out) return "cannot go on: " + rest.err;
    const std::string what = is_reference(tree_of(workplace(job)));
    return what.empty() ? "" : "goes on to another end: " + what;
  }
  size_t old = 0, fresh = 0, outputs = 0;
  for (const auto& [name, text] : tree)
    if (!reference.after.contains(name) && !reference.before.contains(name) && !may_stay(name))
      return name + " was left behind";
  std::set<std::string> names;
  for (const Tree* known : {&reference.before, &reference.after})
    for (const auto& [name, text] : *known) names.insert(name);
  for (const std::string& name : names) {
    const auto text_in = [&](const Tree& of) {
      const auto found = of.find(name);
      return found == of.end() ? std::optional<std::string>() : std::optional(found->second);
    };
    const auto before = text_in(reference.before), after = text_in(reference.after),
               now = text_in(tree);
    if (before == after) {
      if (now != before) return name + " was changed or lost";
      continue;
    }
    outputs++;
    old += now == before, fresh += now == after;
    if (now != before && now != after && !(command.together && !now))
      return name + " is neither old nor new";
  }
  const size_t none = outputs - std::min(outputs, old + fresh);
  const bool stuck = plan.kind == kRename && plan.onwards;  // what was put aside cannot be put back
  if (command.together && !stuck && old != outputs && fresh != outputs && none != outputs)
    return fmt::format("of files that belong together {} are old, {} new, {} gone", old, fresh,
                       none);
  return "";
}

void Faults::work(const std::vector<Task>& tasks, std::atomic<size_t>& at, Tally* tallies,
                  int job) {
  std::map<size_t, std::unique_ptr<Server>> servers, go_on;
  std::map<std::pair<size_t, uint32_t>, int> shown;
  put(counts(job), std::string(sizeof(Counts), '\0'));
  const int descriptor = open(counts(job).c_str(), O_RDWR | O_CLOEXEC);
  auto* counted = static_cast<Counts*>(
      mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0));
  for (size_t i = at++; i < tasks.size(); i = at++) {
    const Task& task = tasks[i];
    const Command& command = commands_[task.command];
    for (auto* list : {&servers, &go_on})
      if (!list->contains(task.command)) {
        const auto& arguments = list == &servers ? command.arguments : command.go_on;
        // The calls of a run that goes on are not counted.
        if (!arguments.empty())
          (*list)[task.command] = std::make_unique<Server>(
              program_, library_, arguments, root_, list == &servers ? counts(job) : "/dev/null");
      }
    Tally& tally = tallies[task.command * kKinds + task.kind];
    for (const uint64_t n : task.ns) {
      const Plan plan{.kind = task.kind, .n = n, .onwards = task.onwards};
      lay_out(command, job);
      for (auto& calls : counted->calls) calls = 0;
      counted->failed = 0;
      const Result result = servers[task.command]->run(plan, workplace(job));
      if (counted->failed == 0 && result.status == 0) continue;  // it made fewer calls this time
      const std::string wrong =
          wrong_with(command, references_[task.command], plan, result, job,
                     go_on.contains(task.command) ? go_on[task.command].get() : nullptr);
      tally.runs++;
      (!wrong.empty() ? tally.wrong : result.status == 0 ? tally.same : tally.refused)++;
      if (wrong.empty() || ++shown[{task.command, task.kind}] > 5) continue;
      fmt::print("WRONG {} [{}:{}{}] {}\n", command.name, kNames[task.kind], n,
                 task.onwards ? "+" : "", wrong);
      std::fflush(stdout);
    }
  }
}

int Faults::run(int64_t spread, int jobs, const std::string& only,
                const std::vector<std::string>& kinds) {
  std::erase_if(commands_, [&](const Command& command) {
    return command.name.find(only) == std::string::npos;
  });
  std::vector<Task> tasks;
  for (size_t c = 0; c < commands_.size(); c++) {
    references_.push_back(reference_of(commands_[c]));
    for (uint32_t kind = 0; kind < kKinds; kind++) {
      if (!kinds.empty() && std::ranges::count(kinds, kNames[kind]) == 0) continue;
      const uint64_t calls = references_[c].calls[kind];
      std::vector<uint64_t> ns;
      const uint64_t wanted =
          spread == 0 ? calls : std::min<uint64_t>(calls, kind == kAlloc ? 4 * spread : spread);
      for (uint64_t i = 0; i < wanted; i++)
        ns.push_back(1 + (spread == 0 ? i : (2 * i + 1) * calls / (2 * wanted)));
      // A spread has the two that come right behind each of the first renames: there a file is
      // between two names.
      const size_t spread_out = ns.size();
      if (spread > 0 && kind == kAlloc)
        for (const uint64_t before : references_[c].allocations_at_rename)
          for (uint64_t n = before + 1; before > 0 && n <= std::min(before + 2, calls); n++)
            ns.push_back(n);
      constexpr size_t kRuns = 100;
      // Whoever is interrupted over and over tries again and again.
      for (uint32_t onwards = 0; onwards < (kind == kInterrupt ? 1 : 2); onwards++)
        for (size_t begin = 0; begin < ns.size(); begin += kRuns) {
          Task task{c, kind, onwards, {}};
          for (size_t i = begin; i < std::min(begin + kRuns, ns.size()); i++)
            // Every other call of a spread fails alone.
            if (spread == 0 || kind == kInterrupt || i % 2 == onwards || ns.size() == 1 ||
                i >= spread_out)
              task.ns.push_back(ns[i]);
          tasks.push_back(std::move(task));
        }
    }
  }
  // Counts that the processes share.
  struct Shared {
    std::atomic<size_t> at;
    Tally tallies[1];
  };
  const size_t bytes = sizeof(Shared) + commands_.size() * kKinds * sizeof(Tally);
  auto* shared = static_cast<Shared*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::fflush(stdout);
  for (int job = 0; job < jobs; job++)
    if (fork() == 0) {
      work(tasks, shared->at, shared->tallies, job);
      std::fflush(stdout);
      _exit(0);
    }
  bool whole = true;
  for (int status = 0; wait(&status) > 0;) whole &= status == 0;

  fmt::print("{:<34} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}\n", "command", "allocs", "others", "runs",
             "same", "refused", "wrong");
  uint64_t all[4] = {}, wrong_of[kKinds] = {}, runs_of[kKinds] = {};
  for (size_t c = 0; c < commands_.size(); c++) {
    uint64_t sum[4] = {}, others = 0;
    for (uint32_t kind = 0; kind < kKinds; kind++) {
      const Tally& tally = shared->tallies[c * kKinds + kind];
      const uint64_t of[4] = {tally.runs, tally.same, tally.refused, tally.wrong};
      for (int i = 0; i < 4; i++) sum[i] += of[i], all[i] += of[i];
      runs_of[kind] += of[0], wrong_of[kind] += of[3];
      if (kind != kAlloc) others += references_[c].calls[kind];
    }
    fmt::print("{:<34} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}\n", commands_[c].name,
               references_[c].calls[kAlloc], others, sum[0], sum[1], sum[2], sum[3]);
  }
  for (uint32_t kind = 0; kind < kKinds; kind++)
    if (runs_of[kind] > 0)
      fmt::print("{}: {} runs, {} wrong\n", kNames[kind], runs_of[kind], wrong_of[kind]);
  fmt::print("{} runs: {} with the same result, {} refused, {} wrong\n", all[0], all[1], all[2],
             all[3]);
  return whole && all[3] == 0 && all[0] > 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(
        "fault_driver LOOKALIKE INJECT.so [--spread N] [--jobs N] [--commands TEXT] [--kinds "
        "KIND,...]\n");
    return 1;
  }
  int64_t spread = 0;
  int jobs = 2;
  std::string only;
  std::vector<std::string> kinds;
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string option = argv[i], value = argv[i + 1];
    if (option == "--spread") spread = std::atoll(value.c_str());
    if (option == "--jobs") jobs = std::atoi(value.c_str());
    if (option == "--commands") only = value;
    if (option == "--kinds") {
      std::istringstream names(value);
      for (std::string name; std::getline(names, name, ',');) kinds.push_back(name);
    }
  }
  return Faults(argv[1], argv[2]).run(spread, jobs, only, kinds);
}

}  // namespace
}  // namespace lookalike::faults

int main(int argc, char** argv) {
  return lookalike::faults::main_of(argc, argv);
}
