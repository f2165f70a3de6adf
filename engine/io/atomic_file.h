// How results reach the disk: a file appears whole or not at all. The bytes go to a new hidden file
// of this process in the same folder (claim.h), are flushed, and take the place of NAME in one
// rename, so a reader, a crash or a full disk never shows half a file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/io/claim.h"
#include "engine/io/input_file.h"

namespace lookalike {

class AtomicFile {
 public:
  // Error when the folder is missing or not writable, when `path` is something other than a regular
  // file or may not be written, or when another process is writing it now. A link stays a link:
  // what it points to is replaced. What is replaced keeps its permissions.
  explicit AtomicFile(const std::filesystem::path& path);
  // Without commit(), what was written is removed.
  ~AtomicFile() = default;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // These bytes of another file.
  void copy(const InputFile& from, int64_t offset, int64_t bytes);
  // What was written is on the disk after it.
  void flush();
  // Flushes the bytes, renames, and flushes the folder. Nothing may be written after it.
  void commit();
  // The file itself, no link.
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<mode_t> mode_;  // of what is replaced
  std::optional<Claim> claim_;
};

// The whole of a small file at once.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Small files that belong together, each with its text or, without one, to be removed: all are
// written before the first of the old ones goes, so that old files never stand beside new ones.
// When one cannot be replaced, all are as they were.
void write_files_together(const std::map<std::filesystem::path, std::optional<std::string>>& files);

// A line more in a file that grows, which is made where it is not there. On failure it is as it was.
void append_line(const std::filesystem::path& path, const std::string& line);

// The file that a path leads to over links, which may be missing. Error when they go round, or lead
// to an open file of a process (/dev/stdout).
std::filesystem::path without_links(const std::filesystem::path& path);

// Error when AtomicFile could not be opened there: to be told before work whose result goes to it. "" is fine.
void check_can_write(const std::filesystem::path& path);
// The same of a folder that is there or would be made.
void check_can_write_folder(const std::filesystem::path& path);
// A folder and those above it, as far as they are not there. Error with the reason.
void make_folders(const std::filesystem::path& path);

}  // namespace lookalike
