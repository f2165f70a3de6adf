// A library for LD_PRELOAD that makes calls to the system and allocations fail. From main() on it
// counts the calls of each kind (plan.h) and fails the n-th:
//   LOOKALIKE_FAULT=KIND:N       the n-th call alone
//   LOOKALIKE_FAULT=KIND:N+      and all after it, as on a disk that stays full
//   LOOKALIKE_FAULT=KIND:N:ERRNO with that errno
//   LOOKALIKE_FAULT_COUNTS=FILE  where the counts go (struct Counts)
//   LOOKALIKE_FAULT_SERVER=A,B   reads requests from descriptor A and runs main() once for each in
//                                a fork, which is several times faster than to start the program
//                                anew; answers with the process's id and its status in B
// What the OpenMP runtime itself asks for is let through: it ends the program by itself where it
// gets nothing. Calls within the C library, and those that a program makes before main(), cannot be
// seen.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/plan.h"

namespace {

using namespace lookalike::faults;

Plan plan;
Counts own_counts, *counts = &own_counts;
bool active = false;
uintptr_t openmp_begin = 0, openmp_end = 0;

constexpr int kUsual[kKinds] = {ENOMEM, ENOSPC, ENOSPC, 0,     EIO,    0,     EINTR,  EMFILE,
                                EIO,    EIO,    EIO,    EIO,   ENOSPC, EIO,   ENOMEM, ENOLCK,
                                EIO,    EIO,    EPERM,  EPERM, EAGAIN, EAGAIN};

// Whether this call of `kind` is to fail; errno then says how.
bool fails(Kind kind) {
  if (!active) return false;
  const uint64_t n = ++counts->calls[kind];
  if (kind == kRename && n <= std::size(counts->allocations_at_rename))
    counts->allocations_at_rename[n - 1] = counts->calls[kAlloc];
  if (plan.kind != kind || plan.n == 0 || n < plan.n || (n > plan.n && !plan.onwards)) return false;
  ++counts->failed;
  errno = plan.error ? plan.error : kUsual[kind];
  return true;
}

bool in_openmp(const void* caller) {
  const auto at = reinterpret_cast<uintptr_t>(caller);
  return at >= openmp_begin && at < openmp_end;
}
// What the C library asks for on its behalf.
thread_local bool starts_openmp_thread __attribute__((tls_model("initial-exec"))) = false;
bool allocation_fails(const void* caller) {
  return active && !starts_openmp_thread && !in_openmp(caller) && fails(kAlloc);
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void load_plan(const char* text) {
  const std::string_view spec = text;
  const size_t colon = spec.find(':');
  for (uint32_t kind = 0; kind < kKinds; kind++)
    if (spec.substr(0, colon) == kNames[kind]) plan.kind = kind;
  if (colon == spec.npos) return;
  char* end = nullptr;
  plan.n = std::strtoull(text + colon + 1, &end, 10);
  if (*end == '+') plan.onwards = 1, end++;
  if (*end == ':') plan.error = std::atoi(end + 1);
}

int (*real_main)(int, char**, char**);

void into(const char* path, int descriptor) {
  const int file =
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  dup2(file, descriptor);
  syscall(SYS_close, file);
}

// Returns in the child alone.
void serve(int requests, int answers) {
  Request request;
  for (;;) {
    if (syscall(SYS_read, requests, &request, sizeof request) != sizeof request) _exit(0);
    const pid_t child = fork();
    if (child == 0) break;
    int answer[2] = {child, 0};
    waitpid(child, &answer[1], 0);
    if (syscall(SYS_write, answers, answer, sizeof answer) != sizeof answer) _exit(1);
  }
  syscall(SYS_close, requests);
  syscall(SYS_close, answers);
  if (chdir(request.folder) != 0) _exit(99);
  into(request.out, 1);
  into(request.err, 2);
  plan = request.plan;
}

int counted_main(int argc, char** argv, char** environment) {
  const char* file = std::getenv("LOOKALIKE_FAULT_COUNTS");
  if (const int descriptor = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
      descriptor >= 0) {
    if (ftruncate(descriptor, sizeof(Counts)) == 0)
      if (void* map =
              mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
          map != MAP_FAILED)
        counts = static_cast<Counts*>(map);
    close(descriptor);
  }
  if (const char* text = std::getenv("LOOKALIKE_FAULT")) load_plan(text);
  int requests = -1, answers = -1;
  const char* server = std::getenv("LOOKALIKE_FAULT_SERVER");
  const bool serves = server && std::sscanf(server, "%d,%d", &requests, &answers) == 2;
  // Not for the programs that this one starts.
  for (const char* name :
       {"LD_PRELOAD", "LOOKALIKE_FAULT", "LOOKALIKE_FAULT_COUNTS", "LOOKALIKE_FAULT_SERVER"})
    unsetenv(name);
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void*) {
        if (!std::strstr(library->dlpi_name, "libgomp")) return 0;
        openmp_begin = library->dlpi_addr;
        for (int i = 0; i < library->dlpi_phnum; i++)
          if (library->dlpi_phdr[i].p_type == PT_LOAD)
            openmp_end =
                library->dlpi_addr + library->dlpi_phdr[i].p_vaddr + library->dlpi_phdr[i].p_memsz;
        return 1;
      },
      nullptr);
  if (serves) serve(requests, answers);
  active = true;
  return real_main(argc, argv, environment);
}

// A result of -1, as of most calls.
template <class Function, class... Args>
auto call(Kind kind, const char* name, Args... args) -> decltype(next<Function>(name)(args...)) {
  if (fails(kind)) return -1;
  return next<Function>(name)(args...);
}

Kind kind_of_write(int descriptor) {
  return descriptor == STDERR_FILENO ? kMessage : kWrite;
}
bool write_fails(int descriptor) {
  return fails(kind_of_write(descriptor)) || (descriptor != STDERR_FILENO && fails(kInterrupt));
}
bool read_fails() {
  return fails(kRead) || fails(kInterrupt);
}
size_t halved(Kind kind, size_t bytes) {
  return bytes > 1 && fails(kind) ? bytes / 2 : bytes;
}

// Marks a stream as glibc does where the kernel refuses.
bool stream_fails(FILE* stream) {
  if (!fails(stream == stderr ? kMessage : kWrite)) return false;
  stream->_flags |= 0x20;  // what ferror() tells
  return true;
}

}  // namespace

extern "C" {

// glibc offers its own allocator under these names.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(),
                      void (*fini)(), void (*rtld_fini)(), void* stack_end) {
  real_main = main;
  return next<decltype(&__libc_start_main)>("__libc_start_main")(counted_main, argc, argv, init,
                                                                 fini, rtld_fini, stack_end);
}

void* malloc(size_t bytes) {
  return allocation_fails(__builtin_return_address(0)) ? nullptr : __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  return allocation_fails(__builtin_return_address(0)) ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
  return allocation_fails(__builtin_return_address(0)) ? nullptr : __libc_realloc(block, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  return allocation_fails(__builtin_return_address(0)) ? nullptr
                                                       : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return allocation_fails(__builtin_return_address(0)) ? nullptr
                                                       : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  if (allocation_fails(__builtin_return_address(0))) return ENOMEM;
  return (*block = __libc_memalign(alignment, bytes)) ? 0 : ENOMEM;
}

ssize_t write(int descriptor, const void* from, size_t bytes) {
  if (write_fails(descriptor)) return -1;
  return syscall(SYS_write, descriptor, from, halved(kShortWrite, bytes));
}
ssize_t pwrite(int descriptor, const void* from, size_t bytes, off_t at) {
  if (write_fails(descriptor)) return -1;
  return syscall(SYS_pwrite64, descriptor, from, halved(kShortWrite, bytes), at);
}
ssize_t pwrite64(int descriptor, const void* from, size_t bytes, off64_t at) {
  return pwrite(descriptor, from, bytes, at);
}
ssize_t writev(int descriptor, const iovec* parts, int count) {
  if (write_fails(descriptor)) return -1;
  return syscall(SYS_writev, descriptor, parts, count > 1 && fails(kShortWrite) ? 1 : count);
}
ssize_t read(int descriptor, void* to, size_t bytes) {
  if (read_fails()) return -1;
  return syscall(SYS_read, descriptor, to, halved(kShortRead, bytes));
}
ssize_t pread(int descriptor, void* to, size_t bytes, off_t at) {
  if (read_fails()) return -1;
  return syscall(SYS_pread64, descriptor, to, halved(kShortRead, bytes), at);
}
ssize_t pread64(int descriptor, void* to, size_t bytes, off64_t at) {
  return pread(descriptor, to, bytes, at);
}
ssize_t readv(int descriptor, const iovec* parts, int count) {
  if (read_fails()) return -1;
  return syscall(SYS_readv, descriptor, parts, count > 1 && fails(kShortRead) ? 1 : count);
}
size_t fread(void* to, size_t size, size_t count, FILE* stream) {
  if (fails(kRead)) {
    stream->_flags |= 0x20;
    return 0;
  }
  return next<decltype(&fread)>("fread")(to, size, count, stream);
}
size_t fwrite(const void* from, size_t size, size_t count, FILE* stream) {
  return stream_fails(stream) ? 0 : next<decltype(&fwrite)>("fwrite")(from, size, count, stream);
}
int fflush(FILE* stream) {
  return stream && stream_fails(stream) ? EOF : next<decltype(&fflush)>("fflush")(stream);
}
pid_t waitpid(pid_t child, int* status, int options) {
  return call<decltype(&waitpid)>(kInterrupt, "waitpid", child, status, options);
}

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;
  va_end(more);
  return fails(kOpen) ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;
  va_end(more);
  return fails(kOpen) ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;
  va_end(more);
  return fails(kOpen) ? -1 : static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;
  va_end(more);
  return fails(kOpen) ? -1 : static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}
FILE* fopen(const char* path, const char* mode) {
  return fails(kOpen) ? nullptr : next<decltype(&fopen)>("fopen")(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  return fails(kOpen) ? nullptr : next<decltype(&fopen64)>("fopen64")(path, mode);
}
DIR* opendir(const char* path) {
  return fails(kOpen) ? nullptr : next<decltype(&opendir)>("opendir")(path);
}
int mkstemp(char* path) {
  return call<decltype(&mkstemp)>(kOpen, "mkstemp", path);
}
int mkstemp64(char* path) {
  return call<decltype(&mkstemp)>(kOpen, "mkstemp64", path);
}
int mkostemp(char* path, int flags) {
  return call<decltype(&mkostemp)>(kOpen, "mkostemp", path, flags);
}
int close(int descriptor) {
  const bool failed = fails(kClose);
  const int error = errno;
  const auto result = static_cast<int>(syscall(SYS_close, descriptor));
  if (!failed) return result;
  errno = error;
  return -1;
}
int fsync(int descriptor) {
  return call<decltype(&fsync)>(kSync, "fsync", descriptor);
}
int fdatasync(int descriptor) {
  return call<decltype(&fdatasync)>(kSync, "fdatasync", descriptor);
}
int rename(const char* from, const char* to) noexcept {
  return call<decltype(&rename)>(kRename, "rename", from, to);
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return call<decltype(&renameat)>(kRename, "renameat", from_folder, from, to_folder, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  return call<decltype(&renameat2)>(kRename, "renameat2", from_folder, from, to_folder, to, flags);
}
int unlink(const char* path) noexcept {
  return call<decltype(&unlink)>(kUnlink, "unlink", path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  return call<decltype(&unlinkat)>(kUnlink, "unlinkat", folder, path, flags);
}
int rmdir(const char* path) noexcept {
  return call<decltype(&rmdir)>(kUnlink, "rmdir", path);
}
int remove(const char* path) noexcept {
  return call<decltype(&remove)>(kUnlink, "remove", path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return call<decltype(&mkdir)>(kMkdir, "mkdir", path, mode);
}
int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  return call<decltype(&mkdirat)>(kMkdir, "mkdirat", folder, path, mode);
}
char* mkdtemp(char* path) noexcept {
  return fails(kMkdir) ? nullptr : next<decltype(&mkdtemp)>("mkdtemp")(path);
}
int ftruncate(int descriptor, off_t bytes) noexcept {
  return fails(kTruncate) ? -1 : static_cast<int>(syscall(SYS_ftruncate, descriptor, bytes));
}
int ftruncate64(int descriptor, off64_t bytes) noexcept {
  return fails(kTruncate) ? -1 : static_cast<int>(syscall(SYS_ftruncate, descriptor, bytes));
}
int truncate(const char* path, off_t bytes) noexcept {
  return call<decltype(&truncate)>(kTruncate, "truncate", path, bytes);
}
void* mmap(void* at, size_t bytes, int protection, int flags, int descriptor,
           off_t offset) noexcept {
  if (fails(kMmap)) return MAP_FAILED;
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, at, bytes, protection, flags, descriptor, offset));
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int descriptor,
             off64_t offset) noexcept {
  return mmap(at, bytes, protection, flags, descriptor, offset);
}
int flock(int descriptor, int operation) noexcept {
  return call<int (*)(int, int)>(kLock, "flock", descriptor, operation);
}
int stat(const char* path, struct stat* info) noexcept {
  return call<int (*)(const char*, struct stat*)>(kStat, "stat", path, info);
}
int stat64(const char* path, struct stat64* info) noexcept {
  return call<int (*)(const char*, struct stat64*)>(kStat, "stat64", path, info);
}
int lstat(const char* path, struct stat* info) noexcept {
  return call<int (*)(const char*, struct stat*)>(kStat, "lstat", path, info);
}
int lstat64(const char* path, struct stat64* info) noexcept {
  return call<int (*)(const char*, struct stat64*)>(kStat, "lstat64", path, info);
}
int fstat(int descriptor, struct stat* info) noexcept {
  return call<int (*)(int, struct stat*)>(kStat, "fstat", descriptor, info);
}
int fstat64(int descriptor, struct stat64* info) noexcept {
  return call<int (*)(int, struct stat64*)>(kStat, "fstat64", descriptor, info);
}
int fstatat(int folder, const char* path, struct stat* info, int flags) noexcept {
  return call<int (*)(int, const char*, struct stat*, int)>(kStat, "fstatat", folder, path, info,
                                                            flags);
}
int fstatat64(int folder, const char* path, struct stat64* info, int flags) noexcept {
  return call<int (*)(int, const char*, struct stat64*, int)>(kStat, "fstatat64", folder, path,
                                                              info, flags);
}
int access(const char* path, int mode) noexcept {
  return call<int (*)(const char*, int)>(kStat, "access", path, mode);
}
char* realpath(const char* path, char* resolved) noexcept {
  return fails(kStat) ? nullptr : next<char* (*)(const char*, char*)>("realpath")(path, resolved);
}
dirent* readdir(DIR* folder) {
  return fails(kList) ? nullptr : next<decltype(&readdir)>("readdir")(folder);
}
dirent64* readdir64(DIR* folder) {
  return fails(kList) ? nullptr : next<decltype(&readdir64)>("readdir64")(folder);
}
int chmod(const char* path, mode_t mode) noexcept {
  return call<int (*)(const char*, mode_t)>(kMode, "chmod", path, mode);
}
int fchmod(int descriptor, mode_t mode) noexcept {
  return call<int (*)(int, mode_t)>(kMode, "fchmod", descriptor, mode);
}
int link(const char* from, const char* to) noexcept {
  return call<int (*)(const char*, const char*)>(kLink, "link", from, to);
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return call<int (*)(int, const char*, int, const char*, int)>(kLink, "linkat", from_folder, from,
                                                                to_folder, to, flags);
}
int symlink(const char* from, const char* to) noexcept {
  return call<int (*)(const char*, const char*)>(kLink, "symlink", from, to);
}
int posix_spawnp(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
                 const posix_spawnattr_t* attributes, char* const arguments[],
                 char* const environment[]) {
  if (fails(kSpawn)) return errno;
  return next<decltype(&posix_spawnp)>("posix_spawnp")(child, file, actions, attributes, arguments,
                                                       environment);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) noexcept {
  const bool openmp = in_openmp(__builtin_return_address(0));
  if (!openmp && fails(kThread)) return errno;
  starts_openmp_thread = openmp;
  const int error = next<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>(
      "pthread_create")(thread, attributes, body, argument);
  starts_openmp_thread = false;
  return error;
}

}  // extern "C"
