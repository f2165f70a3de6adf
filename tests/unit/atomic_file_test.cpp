// Files that appear whole or not at all, under names that nobody can have planted.
#include "engine/io/atomic_file.h"

#include <csignal>
#include <functional>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/io/input_file.h"
#include "engine/io/scratch_folder.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

// Where the bytes for `path` go first.
fs::path first_name(const fs::path& path) {
  return hidden_beside(path, "0");
}

// What a process killed in the middle of writing `path` leaves.
void kill_while_writing(const fs::path& path) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    AtomicFile file(path);
    file.write("half of ");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
}

// Whether `body` ends in an Error of that on a disk which is full after 100 bytes: here a limit of a
// process, which would end it by SIGXFSZ.
template <class Body>
bool tells_full_disk(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit few{100, 100};
    setrlimit(RLIMIT_FSIZE, &few);
    _exit(error_of(body).ends_with("File too large") ? 7 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status) == 7;
}

}  // namespace

TEST_CASE("a file that can't be written leaves nothing behind and the old one in place") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  CHECK(error_of([&] {
          write_file_atomically(folder / "no" / "a", "new");
        }).ends_with("No such file or directory"));
  for (const fs::path& path : {folder.path(), fs::path("/dev/null"), fs::path("/dev/full")})
    CHECK(error_of([&] {
            write_file_atomically(path, "new");
          }).ends_with("it is not a regular file"));
  { AtomicFile(folder / "a").write("half of the n"); }
  CHECK(read_bytes(folder / "a") == "old");
  CHECK(folder.count() == 1);
  CHECK(tells_full_disk([&] { write_file_atomically(folder / "a", std::string(200, 'x')); }));
  CHECK(read_bytes(folder / "a") == "old");
  CHECK(folder.count() == 1);
}

TEST_CASE("two writers of one file: the second is refused, and a dead one's leftover is removed") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a";
  {
    AtomicFile first(path);
    first.write("1");
    CHECK(error_of([&] { AtomicFile{path}; }).ends_with("another process is writing it"));
    CHECK(error_of([&] { check_can_write(path); }).ends_with("another process is writing it"));
    AtomicFile other(folder / "b");
    first.commit();
    write_file_atomically(path, "2");
  }
  CHECK(read_bytes(path) == "2");
  kill_while_writing(path);
  CHECK(fs::exists(first_name(path)));
  CHECK(read_bytes(path) == "2");
  write_file_atomically(path, "3");
  CHECK(read_bytes(path) == "3");
  CHECK(folder.count() == 1);
  // A name as long as names can be.
  write_file_atomically(folder / std::string(255, 'n'), "long");
  CHECK(folder.count() == 2);
  const Claim claim(folder.path());
  CHECK(error_of([&] { Claim{folder.path()}; }) ==
        fmt::format("cannot write '{}': another process is writing it", folder.path().string()));
}

TEST_CASE(
    "what is planted under the names of temporary files is neither followed, opened nor changed") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a";
  write_bytes(folder / "victim", "untouched");
  fs::create_symlink("victim", hidden_beside(path, "0"));
  REQUIRE(mkfifo(hidden_beside(path, "1").c_str(), 0666) == 0);
  fs::create_directory(hidden_beside(path, "2"));
  fs::create_hard_link(folder / "victim", hidden_beside(path, "3"));
  fs::create_symlink("victim", fs::path(path.string() + ".tmp"));
  fs::create_symlink("nowhere", hidden_beside(path, "4"));
  write_file_atomically(path, "new");
  CHECK(read_bytes(path) == "new");
  CHECK(!fs::is_symlink(path));
  CHECK(read_bytes(folder / "victim") == "untouched");
  CHECK(!fs::exists(folder / "nowhere"));
  CHECK(fs::hard_link_count(folder / "victim") == 2);
  CHECK(folder.count() == 8);
}

TEST_CASE(
    "a target keeps its permissions, a link stays one, and a pipe is refused without a wait") {
  const TemporaryFolder folder;
  const mode_t before = umask(027);
  write_file_atomically(folder / "a", "1");
  CHECK(mode_of(folder / "a") == 0640);
  for (const mode_t mode : {0600, 0664, 0777}) {
    chmod((folder / "a").c_str(), mode);
    write_file_atomically(folder / "a", "2");
    CHECK(mode_of(folder / "a") == mode);
  }
  {
    AtomicFile secret(folder / "a");
    CHECK(mode_of(first_name(folder / "a")) == 0600);  // until it has the target's
  }
  umask(before);
  fs::create_directory(folder / "below");
  fs::create_symlink("../a", folder / "below" / "link");
  fs::create_symlink("below/link", folder / "chain");
  fs::create_symlink("not-yet", folder / "dangling");
  fs::create_symlink("round", folder / "round");
  write_file_atomically(folder / "chain", "3");
  CHECK(read_bytes(folder / "a") == "3");
  CHECK(fs::is_symlink(folder / "chain"));
  CHECK(fs::is_symlink(folder / "below" / "link"));
  write_file_atomically(folder / "dangling", "4");
  CHECK(fs::is_symlink(folder / "dangling"));
  CHECK(read_bytes(folder / "not-yet") == "4");
  CHECK(error_of([&] {
          check_can_write(folder / "round");
        }).ends_with("Too many levels of symbolic links"));
  CHECK(error_of([&] { check_can_write("/dev/stdout"); }).ends_with("it is not a regular file"));
  CHECK(error_of([&] { check_can_write("/dev/fd/1"); }).ends_with("it is not a regular file"));
  const fs::path pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0666) == 0);
  for (const auto& body : std::vector<std::function<void()>>{
           [&] { check_can_write(pipe); }, [&] { write_file_atomically(pipe, ""); },
           [&] { append_line(pipe, ""); }, [&] { read_file(pipe); }})
    CHECK(error_of(body).find(fmt::format("'{}': ", pipe.string())) != std::string::npos);
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("files that belong together are all new or all as they were") {
  const TemporaryFolder folder;
  const auto names = [&] {
    return std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator());
  };
  write_bytes(folder / "a", "old a"), write_bytes(folder / "b", "old b");
  fs::create_directory(folder / "elsewhere");
  write_bytes(folder / "elsewhere" / "c", "old c");
  fs::create_symlink("elsewhere/c", folder / "c");
  write_files_together({{folder / "a", "new a"}, {folder / "b", {}}, {folder / "c", "new c"}});
  CHECK(read_bytes(folder / "a") == "new a");
  CHECK(!fs::exists(folder / "b"));
  CHECK(fs::is_symlink(folder / "c"));
  CHECK(read_bytes(folder / "elsewhere" / "c") == "new c");
  CHECK(names() == 3);
  // What a killed process had put aside: an old file that nothing replaced yet, and one that something did.
  fs::rename(folder / "a", hidden_beside(folder / "a", "old"));
  write_bytes(hidden_beside(folder / "elsewhere" / "c", "old"), "old c");
  write_files_together({{folder / "a", {}}, {folder / "c", "newer c"}});
  CHECK(!fs::exists(folder / "a"));
  CHECK(read_bytes(folder / "c") == "newer c");
  CHECK(names() == 2);
  CHECK(std::distance(fs::directory_iterator(folder / "elsewhere"), fs::directory_iterator()) == 1);
  write_bytes(folder / "a", "new a");
  // What is to be replaced last cannot be moved: a folder stands in the way.
  write_bytes(folder / "b", "old b");
  fs::create_directories(hidden_beside(folder / "b", "old") / "full");
  CHECK(!error_of([&] {
           write_files_together({{folder / "a", "newer"}, {folder / "b", "newer"}});
         }).empty());
  CHECK(read_bytes(folder / "a") == "new a");
  CHECK(read_bytes(folder / "b") == "old b");
  CHECK(names() == 5);
  fs::create_directory(folder / "d");
  CHECK(error_of([&] {
          write_files_together({{folder / "a", "newer"}, {folder / "d", {}}});
        }).ends_with("it is a folder"));
  CHECK(read_bytes(folder / "a") == "new a");
}

TEST_CASE("a line is added whole, to the file that a link leads to") {
  const TemporaryFolder folder;
  append_line(folder / "log", "1");
  fs::create_symlink("log", folder / "link");
  append_line(folder / "link", "2");
  CHECK(read_bytes(folder / "log") == "1\n2\n");
  CHECK(tells_full_disk([&] { append_line(folder / "log", std::string(200, 'x')); }));
  CHECK(read_bytes(folder / "log") == "1\n2\n");
}

TEST_CASE("a scratch folder is this user's alone and goes with all that is in it") {
  const TemporaryFolder folder;
  fs::path made;
  {
    const ScratchFolder scratch;
    made = scratch.path();
    CHECK(mode_of(made) == 0700);
    write_file_atomically(scratch / "a", "1");
  }
  CHECK(!fs::exists(made));
  fs::create_directories(folder / "left" / "over");
  {
    const ScratchFolder scratch(folder / "left");
    CHECK(!fs::exists(folder / "left" / "over"));
  }
  CHECK(folder.count() == 0);
  setenv("TMPDIR", "/dev/null", 1);
  CHECK(error_of([] { ScratchFolder{}; }).starts_with("$TMPDIR is not a folder"));
  unsetenv("TMPDIR");
}

}  // namespace lookalike
