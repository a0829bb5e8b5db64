#pragma once

namespace halftone::os {

// Opens those of the descriptors 0, 1 and 2 that are closed on /dev/null. Otherwise the next files that the
// process opens would get these numbers, and messages would be written into them. To be called before
// anything is opened.
void open_standard_streams();

// Makes a write to a pipe that nobody reads an error like any other, instead of a signal that ends the
// process.
void ignore_broken_pipes();

// Is it a pipe or a socket whose reader has gone?
bool reader_is_gone(int descriptor);

}  // namespace halftone::os
