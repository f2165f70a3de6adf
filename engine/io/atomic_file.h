// How results reach the disk: a file appears whole or not at all. The bytes go to NAME.tmp in the same folder, are
// flushed, and take the place of NAME in one rename, so a reader, a crash or a full disk never shows half a file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lookalike {

class AtomicFile {
 public:
  // Error when the folder is missing or not writable, when `path` is something other than a regular file, or when
  // another process is writing it now. What a killed process left in NAME.tmp is overwritten.
  explicit AtomicFile(const std::filesystem::path& path);
  // Without commit(), removes what was written.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // What was written is on the disk after it.
  void flush();
  // Flushes the bytes, renames, and flushes the folder. Nothing may be written after it.
  void commit();

 private:
  [[noreturn]] void fail_with_errno();

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

// The whole of a small file at once.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Small files that belong together, each with its text or, without one, to be removed: all are written before the first of the old ones goes, and when
// one cannot be replaced none is left, so that old files never stand beside new ones.
void write_files_together(const std::map<std::filesystem::path, std::optional<std::string>>& files);

// Error when AtomicFile could not be opened there: to be told before work whose result goes to it. "" is fine.
void check_can_write(const std::filesystem::path& path);
// The same of a folder that is there or would be made.
void check_can_write_folder(const std::filesystem::path& path);
// A folder and those above it, as far as they are not there. Error with the reason.
void make_folders(const std::filesystem::path& path);

}  // namespace lookalike
