// An index: one file that holds all that search needs, a model and the embeddings of pictures with
// their names and content hashes. It is a safetensors file (docs/file-formats.md, "Index"), written
// whole or not at all.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/train/checkpoint.h"

namespace lookalike {

// Pictures as an index has them.
struct IndexedImages {
  std::vector<std::string> names;  // each once
  std::vector<uint64_t> hashes;    // content_hash() of each (image.h)
  Tensor embeddings;               // f32 [names, D], finite

  int64_t count() const { return std::ssize(names); }
};

// How an index keeps embeddings, "f32" or "f16".
DType parse_storage(const std::string& name);

// What half precision costs: of the `k` nearest to rows of f32 [n,D], how many are among those of
// the same rows in f16. Of at most a thousand of the rows, none of which is its own neighbour.
struct StorageRecall {
  int64_t k = 0, queries = 0;
  double recall = 1;
};
StorageRecall recall_of_f16(const Tensor& embeddings, Similarity similarity);

// Rows of f32 as an index stores them, and as f32 whichever way they are stored.
Tensor stored_as(const Tensor& rows, DType storage);
Tensor as_f32(const Tensor& rows);

// Whether the file is an index, of any version.
bool is_index(const std::string& path);

// Error where a name is there twice, or is in `index` already.
class IndexFile;
void check_names_once(std::span<const std::string> names, const IndexFile* index = nullptr);

// An index that is there, opened and checked. Embeddings stay in the file until they are asked for.
class IndexFile {
 public:
  explicit IndexFile(const std::string& path);

  const std::string& path() const { return path_; }
  const Checkpoint& model() const { return model_; }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<uint64_t>& hashes() const { return hashes_; }
  int64_t count() const { return std::ssize(names_); }
  int64_t width() const { return width_; }
  DType storage() const { return storage_; }
  const std::optional<StorageRecall>& recall() const { return recall_; }
  int64_t bytes() const { return file_.bytes(); }
  // As they are stored, f32 or f16. Error where one is not finite.
  Tensor embeddings() const;

 private:
  friend class IndexWriter;
  std::string path_;
  SafetensorsFile file_;
  Checkpoint model_;
  std::vector<std::string> names_;
  std::vector<uint64_t> hashes_;
  int64_t width_ = 0;
  DType storage_ = DType::f32;
  std::optional<StorageRecall> recall_;
};

// Writes an index. Whoever makes one holds the file: a second process that wants to change it is
// refused from then on, so that no change is lost.
class IndexWriter {
 public:
  explicit IndexWriter(const std::string& path) : out_(path) {}
  void build(const Checkpoint& model, const IndexedImages& images, DType storage,
             Similarity similarity);
  // The old index with more behind what it has. Error where a name is there already.
  void add(const IndexFile& old, const IndexedImages& more);
  // The old index without these names. Error that names one which is not there, or where nothing is
  // left. Returns how many are.
  int64_t remove(const IndexFile& old, std::span<const std::string> names);

 private:
  void write(const Checkpoint& model, const std::vector<std::string>& names,
             const std::vector<uint64_t>& hashes, TensorParts embeddings,
             const std::optional<StorageRecall>& recall);

  AtomicFile out_;
};

}  // namespace lookalike
