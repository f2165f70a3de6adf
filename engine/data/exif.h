// The orientation that cameras note beside the pixels, from a block of Exif metadata (CIPA DC-008, which is a TIFF file).
#pragma once

#include <string_view>

#include "engine/data/image.h"

namespace lookalike {

// From 1 to 8, as in the standard; 1, which is upright, where `exif` says nothing valid of it. A leading "Exif\0\0" is
// passed over.
int exif_orientation(std::string_view exif);

// The upright picture of what is stored with this orientation.
Image upright(Image stored, int orientation);

}  // namespace lookalike
