// PyTorch's files of weights (.pth, .pt): what torch.save wrote of a state dict, as a zip archive (since 1.6: data.pkl, data/KEY) or in the
// older form (pickles, then the storages in a row). The pickle is data, never run (pickle.h): a file that asks for anything but tensors
// and containers is refused.
#pragma once

#include <filesystem>

#include "engine/io/safetensors.h"

namespace lookalike {

// The tensors of a state dict, or of the one that a checkpoint holds under "state_dict", "model_state_dict" or "model", also within each other;
// the metadata "under" then says where, "left_out" what else there was. Half precision becomes f32, bool becomes
// u8; tensors that share, stride or repeat a storage come out whole. Whatever is wrong is an Error with file and tensor.
TensorFile read_torch(const std::filesystem::path& path);

// Whether the first bytes of a file are those of the older form.
bool is_legacy_torch(std::string_view head);

}  // namespace lookalike
