#pragma once

namespace halftone {

// Stands around every call of the BLAS library, one at a time on a thread.
//
// The library takes its work memory from buffers of its own, one for each call under way, and keeps them.
// Where the system refuses the memory for a new one, it asks again for ever. So the buffers are made before
// the first call, as many as there are threads and memory for, and no more calls are let in at once: the
// others wait.
class BlasCall {
  public:
    BlasCall();  // Exit::space if there is no memory for even one buffer
    ~BlasCall();
    BlasCall(const BlasCall&) = delete;
    BlasCall& operator=(const BlasCall&) = delete;
};

}  // namespace halftone
