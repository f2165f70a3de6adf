#include "engine/io/hdf5_file.h"

#include <new>
#include <vector>

#include "engine/io/input_file.h"
#include "engine/io/weight_file.h"

#ifdef LOOKALIKE_HAS_HDF5

#include <cerrno>
#include <csignal>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <hdf5.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/core/resources.h"

namespace lookalike {
namespace {

constexpr int kMaxNesting = 16;
constexpr int64_t kMaxObjects = 100'000;

// An object of the library, closed at the end of its scope.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

class Hdf5Reader {
 public:
  explicit Hdf5Reader(const std::filesystem::path& path) : path_(path.string()), budget_(InputFile(path).size()) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // the library's own messages
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    check(file >= 0, "'{}': not an HDF5 file, or damaged", path_);
    read_group(file, "", 0);
    check(!result_.tensors.empty(), "'{}': holds no floating-point numbers", path_);
  }
  TensorFile take() { return std::move(result_); }

 private:
  void read_group(hid_t group, const std::string& prefix, int depth) {
    check(depth < kMaxNesting, "'{}': {} is nested too deeply", path_, show_name(prefix));
    for (const std::string& name : names_in(group, prefix)) {
      const std::string full = prefix + name;
      H5L_info_t link;
      check(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD,
            "'{}': {} is a link to elsewhere", path_, show_name(full));
      const Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      check(object >= 0, "'{}': {} is damaged", path_, show_name(full));
      const H5I_type_t type = H5Iget_type(object);
      if (type == H5I_GROUP) read_group(object, full + "/", depth + 1);
      if (type == H5I_DATASET) read_dataset(object, full);
    }
  }

  // By iteration: a name by its index takes a walk through the group for each.
  std::vector<std::string> names_in(hid_t group, const std::string& prefix) {
    struct {
      std::vector<std::string> names;
      bool out_of_memory = false;
    } found;
    // Called by C code, which no exception may pass through. A number above zero ends the
    // iteration, one below fails it.
    const auto add = [](hid_t, const char* name, const H5L_info_t*, void* to) noexcept -> herr_t {
      auto& found_here = *static_cast<decltype(found)*>(to);
      if (std::ssize(found_here.names) > kMaxObjects) return 1;
      try {
        found_here.names.emplace_back(name);
      } catch (const std::bad_alloc&) {
        found_here.out_of_memory = true;
        return -1;
      }
      return 0;
    };
    const herr_t status = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &found);
    if (found.out_of_memory) throw std::bad_alloc();
    check(status >= 0, "'{}': {} is damaged", path_, show_name(prefix));
    objects_ += std::ssize(found.names);
    check(objects_ <= kMaxObjects, "'{}': more than {} objects", path_, +kMaxObjects);
    return std::move(found.names);
  }

  void read_dataset(hid_t dataset, const std::string& name) {
    const Handle type(H5Dget_type(dataset), H5Tclose);
    if (H5Tget_class(type) != H5T_FLOAT) return;
    // The library would open whatever file is named: a pipe, or one that is nobody's business.
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
    check(H5Pget_external_count(creation) == 0 && H5Pget_layout(creation) != H5D_VIRTUAL,
          "'{}': {} has its values in another file, expected them in this one", path_, show_name(name));
    const Handle space(H5Dget_space(dataset), H5Sclose);
    const int rank = H5Sget_simple_extent_ndims(space);
    check(rank >= 0 && rank <= Shape::kMaxRank, "'{}': {} has {} axes, at most {} expected", path_, show_name(name),
          rank, +Shape::kMaxRank);
    hsize_t extents[Shape::kMaxRank];
    H5Sget_simple_extent_dims(space, extents, nullptr);
    Shape shape;
    try {
      shape = Shape(std::vector<int64_t>(extents, extents + rank));
    } catch (const Error& error) {
      fail("'{}': {}: {}", path_, show_name(name), error.what());
    }
    budget_.take(shape, DType::f32, fmt::format("'{}': {}", path_, show_name(name)));
    Tensor tensor(shape);
    check(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.raw()) >= 0, "'{}': {} is damaged",
          path_, show_name(name));
    result_.tensors.emplace(name, tensor);
  }

  std::string path_;
  TensorBudget budget_;
  int64_t objects_ = 0;
  TensorFile result_;
};

// One end of a pipe.
class Pipe {
 public:
  explicit Pipe(int descriptor) : descriptor_(descriptor) {}
  ~Pipe() { close(descriptor_); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void send(const void* from, size_t bytes) const {
    for (auto* at = static_cast<const char*>(from); bytes > 0;) {
      const ssize_t sent = write(descriptor_, at, bytes);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) _exit(1);
      at += sent, bytes -= sent;
    }
  }
  void send_text(std::string_view text) const {
    send_number(std::ssize(text));
    send(text.data(), text.size());
  }
  void send_number(int64_t number) const { send(&number, sizeof number); }

  // False at its end.
  bool receive(void* to, size_t bytes) const {
    for (auto* at = static_cast<char*>(to); bytes > 0;) {
      const ssize_t got = read(descriptor_, at, bytes);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      at += got, bytes -= got;
    }
    return true;
  }
  bool receive_text(std::string& text) const {
    int64_t size = 0;
    if (!receive(&size, sizeof size)) return false;
    text.resize(size);
    return receive(text.data(), text.size());
  }

 private:
  int descriptor_;
};

// What comes first: how the reading ended.
enum class Hdf5End : int64_t { whole, error, no_memory };

[[noreturn]] void read_and_send(const std::filesystem::path& path, const Pipe& pipe) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody would read what it sends
  if (const int nowhere = open("/dev/null", O_WRONLY); nowhere >= 0)
    dup2(nowhere, STDERR_FILENO);  // for its messages
  try {
    const TensorFile file = Hdf5Reader(path).take();
    pipe.send_number(static_cast<int64_t>(Hdf5End::whole));
    pipe.send_number(std::ssize(file.tensors));
    for (const auto& [name, tensor] : file.tensors) {
      pipe.send_text(name);
      pipe.send_number(tensor.shape().rank());
      for (const int64_t extent : tensor.shape().extents()) pipe.send_number(extent);
      pipe.send(tensor.raw(), tensor.bytes());
    }
    _exit(0);
  } catch (const std::bad_alloc&) {
    pipe.send_number(static_cast<int64_t>(Hdf5End::no_memory));
  } catch (const std::exception& error) {
    pipe.send_number(static_cast<int64_t>(Hdf5End::error));
    pipe.send_text(error.what());
  }
  _exit(0);
}

}  // namespace

bool has_hdf5() {
  return true;
}

// The library crashes where it finds no memory, and on files that are made for that; so it works in
// a process of its own, whose end is no more than a file that cannot be read.
TensorFile read_hdf5(const std::filesystem::path& path) {
  // Outlives the pipe, so that a process that sends on is told that nobody listens.
  struct Child {
    pid_t process = -1;
    ~Child() {
      while (process > 0 && waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  } child;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw_if_exhausted(errno, fmt::format("cannot read '{}'", path.string()));
  const Pipe from(ends[0]);
  std::optional<Pipe> to(ends[1]);
  child.process = fork();
  if (child.process < 0) throw_if_exhausted(errno, fmt::format("cannot read '{}'", path.string()));
  if (child.process == 0) read_and_send(path, *to);
  to.reset();
  const auto expect = [&](bool received) {
    check(received, "'{}': damaged, or the HDF5 library failed to read it", path.string());
  };

  Hdf5End end{};
  expect(from.receive(&end, sizeof end));
  if (end == Hdf5End::no_memory) throw std::bad_alloc();
  TensorFile file;
  std::string text;
  if (end == Hdf5End::error) {
    expect(from.receive_text(text));
    fail("{}", text);
  }
  int64_t tensors = 0, rank = 0;
  expect(from.receive(&tensors, sizeof tensors));
  for (; tensors > 0; tensors--) {
    expect(from.receive_text(text) && from.receive(&rank, sizeof rank));
    std::vector<int64_t> extents(rank);
    for (int64_t& extent : extents) expect(from.receive(&extent, sizeof extent));
    Tensor tensor{Shape(extents)};
    expect(from.receive(tensor.raw(), tensor.bytes()));
    file.tensors.emplace(text, tensor);
  }
  return file;
}

}  // namespace lookalike

#else

namespace lookalike {

bool has_hdf5() {
  return false;
}

TensorFile read_hdf5(const std::filesystem::path& path) {
  fail("'{}': an HDF5 file; this build is without the HDF5 library (libhdf5-dev), which reads them", path.string());
}

}  // namespace lookalike

#endif
