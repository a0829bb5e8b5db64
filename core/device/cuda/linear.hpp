// Linear algebra of one stream: cuBLAS for products, Cholesky-QR in double precision for orthonormal columns,
// and a truncated singular value decomposition made of both.
#pragma once

#include <cstdint>

#include <halftone/ext/draft/device.h>

#include "driver.hpp"
#include "libraries.hpp"

namespace halftone::cuda {

// Device memory that one thing owns.
class Memory {
  public:
    Memory(const Driver& driver, uint64_t bytes) : driver_(driver) {
        driver_.check(driver_.cuMemAlloc(&at_, bytes ? bytes : 1), "taking device memory");
    }
    ~Memory() { driver_.cuMemFree(at_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    CUdeviceptr at() const { return at_; }

  private:
    const Driver& driver_;
    CUdeviceptr at_ = 0;
};

// A kernel of the plugin's own image.
class OwnKernels {
  public:
    explicit OwnKernels(const Driver&);  // in the current context
    ~OwnKernels();
    OwnKernels(const OwnKernels&) = delete;
    OwnKernels& operator=(const OwnKernels&) = delete;

    // Enqueues a kernel for `work` elements; `args` is its one argument.
    template <class Args>
    void run(CUstream stream, const char* kernel, uint64_t work, Args args) const {
        launch(stream, kernel, work, &args);
    }

  private:
    void launch(CUstream, const char* kernel, uint64_t work, void* args) const;
    const Driver& driver_;
    CUlibrary library_ = nullptr;
};

class Linear {
  public:
    Linear(const Driver&, const OwnKernels&, CUstream);
    ~Linear();
    Linear(const Linear&) = delete;
    Linear& operator=(const Linear&) = delete;

    void gemm(const ht_linear_gemm&);
    void factor(const ht_linear_factor&);
    void svd(const ht_linear_svd&);

  private:
    // Scratch memory that later work on the stream may overwrite. Grows when needed.
    class Scratch;
    void reserve(uint64_t bytes);
    template <class T>
    T* take(uint64_t n);

    void split_gemm(const ht_linear_gemm&, const float* numbers);
    // c = op(a) op(b), rows x cols, everything dense and row-major.
    void product(bool transpose_a, bool transpose_b, uint64_t rows, uint64_t cols, uint64_t inner,
                 const float* a, const float* b, float* c);
    // to = x' x, in double precision; x: rows x cols.
    void gram(const float* x, uint64_t rows, uint64_t cols, double* copy, double* to);
    // a = L L' with a shift that float32 cannot see; L^-1 into `inverse`.
    void invert_cholesky(double* a, double* inverse, uint64_t n, int32_t* status);
    // One pass of Cholesky-QR.
    void orthonormalize(const float* x, uint64_t rows, uint64_t cols, float* out, int32_t* status);
    uint64_t orthonormalize_bytes(uint64_t rows, uint64_t cols) const;
    int solver_doubles(uint64_t n);

    const Driver& driver_;
    const OwnKernels& kernels_;
    const Libraries& libraries_;
    CUstream stream_;
    BlasHandle blas_ = nullptr;
    SolverHandle solver_ = nullptr;
    Memory workspace_, numbers_;
    CUdeviceptr arena_ = 0;
    uint64_t arena_bytes_ = 0, taken_ = 0;
};

}  // namespace halftone::cuda
