#include "engine/search/index_file.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "engine/core/finite.h"
#include "engine/core/json_text.h"
#include "engine/core/random.h"
#include "engine/eval/retrieval.h"
#include "kernels/similarity.h"

namespace lookalike {
namespace {

constexpr const char *kFormatKey = "format", *kIndexFormat = "lookalike-index-1",
                     *kAnyIndexFormat = "lookalike-index-", *kRecallKey = "f16_recall";
constexpr const char *kIndexPrefix = "index/", *kEmbeddings = "index/embeddings",
                     *kHashes = "index/hashes", *kNames = "index/names",
                     *kNameEnds = "index/name_ends";

std::vector<std::string> take_names(const SafetensorsFile& file, const std::string& path) {
  const Tensor bytes = file.read(kNames), ends = file.read(kNameEnds);
  check(bytes.dtype() == DType::u8 && bytes.shape().rank() == 1 && ends.dtype() == DType::i64 &&
            ends.shape().rank() == 1,
        "{}: its names are {} {} and {} {}, expected u8 and i64", path, name_of(bytes.dtype()),
        bytes.shape(), name_of(ends.dtype()), ends.shape());
  const auto* text = reinterpret_cast<const char*>(bytes.data<uint8_t>());
  std::vector<std::string> names;
  int64_t begin = 0;
  for (const int64_t end : ends.span<int64_t>()) {
    check(end > begin && end <= bytes.size(),
          "{}: the name of picture {} lies at bytes {} to {} of {}", path, names.size(), begin, end,
          bytes.size());
    names.emplace_back(text + begin, text + end);
    begin = end;
  }
  check(begin == bytes.size(), "{}: {} bytes behind the last name", path, bytes.size() - begin);
  return names;
}

std::optional<StorageRecall> take_recall(const SafetensorsHeader& header, const std::string& path) {
  const auto found = header.metadata.find(kRecallKey);
  if (found == header.metadata.end()) return {};
  const nlohmann::json json =
      parse_json(found->second, fmt::format("{}: metadata '{}'", path, kRecallKey));
  const bool fits = json.is_array() && json.size() == 3 && json[0].is_number_unsigned() &&
                    json[1].is_number_unsigned() && json[2].is_number() &&
                    json[2].get<double>() >= 0 && json[2].get<double>() <= 1;
  check(fits, "{}: metadata '{}' is not k, queries and recall", path, kRecallKey);
  return StorageRecall{json[0].get<int64_t>(), json[1].get<int64_t>(), json[2].get<double>()};
}

const std::string& of_tensors(const std::string& path) {
  check(is_safetensors(path), "{}: not an index, expected a file that `lookalike index build` made",
        path);
  return path;
}

Checkpoint model_in(const SafetensorsFile& file, const std::string& path) {
  TensorFile model{{}, file.header().metadata};
  const auto format = model.metadata.find(kFormatKey);
  check(format != model.metadata.end() && format->second.starts_with(kAnyIndexFormat),
        "{}: a model or other tensors, expected an index, as `lookalike index build` makes one",
        path);
  check(format->second == kIndexFormat,
        "{}: an index of another version, {}; this program reads {}", path, format->second,
        kIndexFormat);
  for (const auto& [name, entry] : file.header().tensors)
    if (!name.starts_with(kIndexPrefix)) model.tensors.emplace(name, file.read(name));
  return checkpoint_of(std::move(model), path);
}

void check_stored(const Tensor& rows, std::span<const std::string> names,
                  const std::string& path) {
  constexpr uint16_t kF16Infinity = 0x7c00;
  int64_t bad = -1;
  if (rows.dtype() == DType::f32) {
    bad = first_row_not_finite(rows);
  } else {
    const auto values = rows.span<f16>();
    const auto found =
        std::ranges::find_if(values, [](f16 x) { return (x.bits & kF16Infinity) == kF16Infinity; });
    if (found != values.end()) bad = (found - values.begin()) / rows.shape()[1];
  }
  check(bad < 0, "{}: the embedding of {} holds NaN or infinity{}", path,
        names[std::max<int64_t>(bad, 0)],
        rows.dtype() == DType::f16 ? "; f16 holds numbers up to 65504" : "");
}

}  // namespace

DType parse_storage(const std::string& name) {
  check(name == "f32" || name == "f16", "storage '{}', expected f32 or f16", name);
  return name == "f16" ? DType::f16 : DType::f32;
}

StorageRecall recall_of_f16(const Tensor& embeddings, Similarity similarity) {
  constexpr int64_t kNearest = 10, kQueries = 1000;
  const int64_t n = embeddings.shape()[0], k = std::min(kNearest, n - 1);
  StorageRecall result{.k = k, .queries = std::min(kQueries, n), .recall = 1};
  if (k < 1) return result;
  std::vector<int64_t> rows(result.queries);
  for (int64_t i = 0; i < result.queries; i++) rows[i] = i * n / result.queries;
  const Tensor queries = rows_of(embeddings, rows);
  const Neighbors exact = search_similar(queries, embeddings, k + 1, similarity),
                  halved = search_similar(queries, stored_as(embeddings, DType::f16), k + 1,
                                          similarity);
  // The k nearest of one query but for itself.
  const auto nearest = [&](const Neighbors& found, int64_t query) {
    const auto all = found.indices.span<int64_t>().subspan(query * (k + 1), k + 1);
    std::vector<int64_t> others;
    for (const int64_t row : all)
      if (row != rows[query] && std::ssize(others) < k) others.push_back(row);
    std::ranges::sort(others);
    return others;
  };
  int64_t common = 0;
  for (int64_t query = 0; query < result.queries; query++) {
    std::vector<int64_t> both;
    std::ranges::set_intersection(nearest(exact, query), nearest(halved, query),
                                  std::back_inserter(both));
    common += std::ssize(both);
  }
  result.recall = static_cast<double>(common) / static_cast<double>(k * result.queries);
  return result;
}

bool is_index(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored) || !is_safetensors(path)) return false;
  const SafetensorsHeader header = read_safetensors_header(path);
  const auto format = header.metadata.find(kFormatKey);
  return format != header.metadata.end() && format->second.starts_with(kAnyIndexFormat);
}

Tensor stored_as(const Tensor& rows, DType storage) {
  if (storage == DType::f32) return rows;
  Tensor result(rows.shape(), DType::f16);
  std::ranges::transform(rows.span<float>(), result.data<f16>(), to_f16);
  return result;
}

Tensor as_f32(const Tensor& rows) {
  if (rows.dtype() == DType::f32) return rows;
  Tensor result(rows.shape());
  cpu::widen(rows.data<f16>(), rows.size(), result.data<float>());
  return result;
}

void check_names_once(std::span<const std::string> names, const IndexFile* index) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : names)
    check(seen.insert(name).second, "{}: named twice, expected each picture once", name);
  if (!index) return;
  std::vector<std::string> there;
  for (const std::string& name : index->names())
    if (seen.contains(name)) there.push_back(name);
  check(there.empty(), "{} has {} already{}; expected pictures that are not in it", index->path(),
        there.empty() ? "" : there[0],
        there.size() > 1 ? fmt::format(" and {} more of these", there.size() - 1) : "");
}

IndexFile::IndexFile(const std::string& path)
    : path_(of_tensors(path)),
      file_(path),
      model_(model_in(file_, path)),
      names_(take_names(file_, path)) {
  const Tensor hashes = file_.read(kHashes);
  const auto found = file_.header().tensors.find(kEmbeddings);
  check(found != file_.header().tensors.end(), "{}: tensor {} is missing", path, kEmbeddings);
  const TensorEntry& rows = found->second;
  check(hashes.dtype() == DType::i64 && hashes.shape() == Shape{count()},
        "{}: tensor {} is {} {}, expected i64 [{}]", path, kHashes, name_of(hashes.dtype()),
        hashes.shape(), count());
  check((rows.dtype == "F32" || rows.dtype == "F16") && rows.shape.rank() == 2 &&
            rows.shape[0] == count() && count() > 0 && rows.shape[1] > 0,
        "{}: tensor {} is {} {}, expected F32 or F16 [{}, D]", path, kEmbeddings, rows.dtype,
        rows.shape, count());
  const auto values = hashes.span<int64_t>();
  hashes_.assign(values.begin(), values.end());
  storage_ = rows.dtype == "F16" ? DType::f16 : DType::f32;
  width_ = rows.shape[1];
  recall_ = take_recall(file_.header(), path);
  try {
    check_names_once(names_);
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

Tensor IndexFile::embeddings() const {
  const Tensor rows = file_.read(kEmbeddings, true);
  check_stored(rows, names_, path_);
  return rows;
}

void IndexWriter::write(const Checkpoint& model, const std::vector<std::string>& names,
                        const std::vector<uint64_t>& hashes, TensorParts embeddings,
                        const std::optional<StorageRecall>& recall) {
  TensorFile file = file_of(model);
  file.metadata[kFormatKey] = kIndexFormat;
  if (recall)
    file.metadata[kRecallKey] = nlohmann::json{recall->k, recall->queries, recall->recall}.dump();
  std::vector<uint8_t> text;
  std::vector<int64_t> ends;
  for (const std::string& name : names) {
    text.insert(text.end(), name.begin(), name.end());
    ends.push_back(std::ssize(text));
  }
  file.tensors[kNames] = Tensor::from({std::ssize(text)}, text);
  file.tensors[kNameEnds] = Tensor::from({std::ssize(ends)}, ends);
  file.tensors[kHashes] =
      Tensor::from({std::ssize(hashes)}, std::vector<int64_t>(hashes.begin(), hashes.end()));
  std::map<std::string, TensorParts> parts;
  for (const auto& [name, tensor] : file.tensors) parts.emplace(name, parts_of(tensor));
  parts.emplace(kEmbeddings, std::move(embeddings));
  write_safetensors(out_, parts, file.metadata);
}

void IndexWriter::build(const Checkpoint& model, const IndexedImages& images, DType storage,
                        Similarity similarity) {
  check_names_once(images.names);
  std::optional<StorageRecall> recall;
  if (storage == DType::f16 && images.count() > 1)
    recall = recall_of_f16(images.embeddings, similarity);
  const Tensor rows = stored_as(images.embeddings, storage);
  check_stored(rows, images.names, out_.path().string());
  write(model, images.names, images.hashes, parts_of(rows), recall);
}

void IndexWriter::add(const IndexFile& old, const IndexedImages& more) {
  check(more.embeddings.shape()[1] == old.width_,
        "{}: embeddings of {} values, those to add have {}", old.path_, old.width_,
        more.embeddings.shape()[1]);
  std::vector<std::string> names = old.names_;
  std::vector<uint64_t> hashes = old.hashes_;
  names.insert(names.end(), more.names.begin(), more.names.end());
  hashes.insert(hashes.end(), more.hashes.begin(), more.hashes.end());
  check_names_once(more.names, &old);
  const Tensor rows = stored_as(more.embeddings, old.storage_);
  check_stored(rows, more.names, old.path_);
  write(old.model_, names, hashes,
        {old.storage_,
         {std::ssize(names), old.width_},
         {old.file_.rows(kEmbeddings, 0, old.count()), {rows.raw(), rows.bytes()}}},
        old.recall_);
}

int64_t IndexWriter::remove(const IndexFile& old, std::span<const std::string> names) {
  std::unordered_map<std::string_view, int64_t> rows;
  for (int64_t i = 0; i < old.count(); i++) rows.emplace(old.names_[i], i);
  std::vector<bool> goes(old.count());
  for (const std::string& name : names) {
    const auto found = rows.find(name);
    check(found != rows.end(), "{}: there is no picture named {}", old.path_, name);
    goes[found->second] = true;
  }
  std::vector<std::string> kept;
  std::vector<uint64_t> hashes;
  TensorParts embeddings{old.storage_, {}, {}};
  for (int64_t begin = 0; begin < old.count();) {
    int64_t end = begin + 1;
    while (end < old.count() && goes[end] == goes[begin]) end++;
    if (!goes[begin]) {
      kept.insert(kept.end(), old.names_.begin() + begin, old.names_.begin() + end);
      hashes.insert(hashes.end(), old.hashes_.begin() + begin, old.hashes_.begin() + end);
      embeddings.parts.push_back(old.file_.rows(kEmbeddings, begin, end));
    }
    begin = end;
  }
  check(!kept.empty(), "{}: nothing would be left in it", old.path_);
  embeddings.shape = {std::ssize(kept), old.width_};
  write(old.model_, kept, hashes, std::move(embeddings), old.recall_);
  return std::ssize(kept);
}

}  // namespace lookalike
