#pragma once

namespace halftone {

// Whether buffers lie between guard bytes while a plugin writes to them, or are fenced in by memory that is
// not there, so that reaching beyond them is a crash. Costs a copy of each.
enum class Watch { no, yes, fenced };
#ifdef NDEBUG
inline constexpr Watch default_watch = Watch::no;
#else
inline constexpr Watch default_watch = Watch::yes;
#endif

}  // namespace halftone
