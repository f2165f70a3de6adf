// SHA-256 (FIPS 180-4) and MD5 (RFC 1321) of files, in lower-case hexadecimal: what publishers of weights print beside them. To tell files
// apart, not to guard anything: MD5 is broken.
#pragma once

#include <string>
#include <string_view>

#include "engine/io/input_file.h"

namespace lookalike {

std::string sha256(std::string_view bytes);
std::string md5(std::string_view bytes);
std::string sha256(const InputFile& file);
std::string md5(const InputFile& file);

}  // namespace lookalike
