#include "linear.hpp"

#include <algorithm>

#include <halftone/ext/draft/kernels.h>
#include <halftone/ext/draft/optimizer.h>
#include <halftone/kernel_image.hpp>

#include "linear_args.hpp"

HALFTONE_KERNEL_IMAGE(linear_kernels)

namespace halftone::cuda {
namespace {

constexpr uint64_t workspace_bytes = 64u << 20;

template <class T>
T* pointer(CUdeviceptr at) {
    return reinterpret_cast<T*>(at);  // NOLINT(performance-no-int-to-ptr): that is what an address is here
}

int whole(uint64_t n) {
    if (n > INT32_MAX) throw Failure(HT_REFUSED, "a matrix has more rows or columns than cuBLAS can count");
    return static_cast<int>(n);
}

BlasOperation operation(bool transpose) {
    return transpose ? blas_transpose : blas_plain;
}

constexpr uint64_t padded_bytes(uint64_t bytes) {
    return (bytes + 255) / 256 * 256;
}

}  // namespace

OwnKernels::OwnKernels(const Driver& driver) : driver_(driver) {
    const auto image = kernel_image(HALFTONE_IMAGE(linear_kernels));
    driver_.check(
        driver_.cuLibraryLoadData(&library_, image.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
        "loading the kernels of linear algebra");
}

OwnKernels::~OwnKernels() {
    driver_.cuLibraryUnload(library_);
}

void OwnKernels::launch(CUstream stream, const char* kernel, uint64_t work, void* args) const {
    CUkernel found = nullptr;
    driver_.check(driver_.cuLibraryGetKernel(&found, library_, kernel), kernel);
    const uint64_t blocks =
        std::clamp<uint64_t>((work + HT_KERNEL_THREADS - 1) / HT_KERNEL_THREADS, 1, 1u << 16);
    void* all[] = {args};
    driver_.check(driver_.cuLaunchKernel(reinterpret_cast<CUfunction>(found), static_cast<unsigned>(blocks),
                                         1, 1, HT_KERNEL_THREADS, 1, 1, 0, stream, all, nullptr),
                  kernel);
}

Linear::Linear(const Driver& driver, const OwnKernels& kernels, CUstream stream)
    : driver_(driver),
      kernels_(kernels),
      libraries_(Libraries::get()),
      stream_(stream),
      workspace_(driver, workspace_bytes),
      numbers_(driver, 2 * sizeof(float)) {
    const auto check = Libraries::check;
    check(libraries_.cublasCreate_v2(&blas_), "cublasCreate");
    check(libraries_.cublasSetStream_v2(blas_, stream_), "cublasSetStream");
    // A workspace of its own makes cuBLAS repeat its results to the bit.
    check(libraries_.cublasSetWorkspace_v2(blas_, pointer<void>(workspace_.at()), workspace_bytes),
          "cublasSetWorkspace");
    constexpr int default_math = 0, no_atomics = 0;  // float32 in full: TF32 would have to be asked for
    check(libraries_.cublasSetMathMode(blas_, default_math), "cublasSetMathMode");
    check(libraries_.cublasSetAtomicsMode(blas_, no_atomics), "cublasSetAtomicsMode");
    check(libraries_.cusolverDnCreate(&solver_), "cusolverDnCreate");
    check(libraries_.cusolverDnSetStream(solver_, stream_), "cusolverDnSetStream");
}

Linear::~Linear() {
    driver_.cuStreamSynchronize(stream_);
    if (solver_) libraries_.cusolverDnDestroy(solver_);
    if (blas_) libraries_.cublasDestroy_v2(blas_);
    if (arena_) driver_.cuMemFree(arena_);
}

void Linear::reserve(uint64_t bytes) {
    taken_ = 0;
    if (bytes <= arena_bytes_) return;
    driver_.check(driver_.cuStreamSynchronize(stream_), "waiting for a stream");
    if (arena_) driver_.cuMemFree(arena_);
    arena_ = 0;
    arena_bytes_ = 0;
    driver_.check(driver_.cuMemAlloc(&arena_, bytes), "taking device memory for linear algebra");
    arena_bytes_ = bytes;
}

template <class T>
T* Linear::take(uint64_t n) {
    const uint64_t at = taken_;
    taken_ += padded_bytes(n * sizeof(T));
    if (taken_ > arena_bytes_)
        throw Failure(HT_FAILED, "linear algebra took more scratch memory than planned");
    return pointer<T>(arena_ + at);
}

// ------------------------------------------------------------------------------------------------- products
// cuBLAS counts by columns: a matrix of ours is the transpose of one of its, so products swap their factors.

void Linear::gemm(const ht_linear_gemm& args) {
    if (args.rows == 0 || args.cols == 0) return;
    auto* const numbers = pointer<float>(numbers_.at());
    kernels_.run(stream_, "numbers", 1, NumbersArgs{args.alpha, args.beta, numbers});
    Libraries::check(libraries_.cublasSetPointerMode_v2(blas_, blas_device_numbers), "cublasSetPointerMode");
    if (args.precision == HT_GEMM_SPLIT) return split_gemm(args, numbers);
    Libraries::check(libraries_.cublasSgemm_v2(
                         blas_, operation(args.transpose_b), operation(args.transpose_a), whole(args.cols),
                         whole(args.rows), whole(args.inner), numbers, args.b, whole(args.b_stride), args.a,
                         whole(args.a_stride), numbers + 1, args.c, whole(args.c_stride)),
                     "cublasSgemm");
}

// Each number as the sum of two of bfloat16: three products on the tensor cores instead of one beside them.
void Linear::split_gemm(const ht_linear_gemm& args, const float* numbers) {
    const uint64_t padded = (args.inner + 31) / 32 * 32, inner = 3 * padded;
    reserve(padded_bytes(args.rows * inner * 2) + padded_bytes(args.cols * inner * 2));
    auto* const a = take<uint16_t>(args.rows * inner);
    auto* const b = take<uint16_t>(args.cols * inner);
    kernels_.run(stream_, "split", args.rows * padded / 4,
                 SplitArgs{args.rows, args.inner, padded, args.a_stride, args.transpose_a, 1, args.a, a});
    kernels_.run(stream_, "split", args.cols * padded / 4,
                 SplitArgs{args.cols, args.inner, padded, args.b_stride, !args.transpose_b, 0, args.b, b});
    constexpr int default_algorithm = -1;
    Libraries::check(libraries_.cublasGemmEx(blas_, blas_transpose, blas_plain, whole(args.cols),
                                             whole(args.rows), whole(inner), numbers, b, type_bf16,
                                             whole(inner), a, type_bf16, whole(inner), numbers + 1, args.c,
                                             type_f32, whole(args.c_stride), compute_f32, default_algorithm),
                     "cublasGemmEx");
}

void Linear::product(bool transpose_a, bool transpose_b, uint64_t rows, uint64_t cols, uint64_t inner,
                     const float* a, const float* b, float* c) {
    const float one = 1, zero = 0;
    Libraries::check(libraries_.cublasSetPointerMode_v2(blas_, blas_host_numbers), "cublasSetPointerMode");
    Libraries::check(
        libraries_.cublasSgemm_v2(blas_, operation(transpose_b), operation(transpose_a), whole(cols),
                                  whole(rows), whole(inner), &one, b, whole(transpose_b ? inner : cols), a,
                                  whole(transpose_a ? rows : inner), &zero, c, whole(cols)),
        "cublasSgemm");
}

void Linear::gram(const float* x, uint64_t rows, uint64_t cols, double* copy, double* to) {
    const double one = 1, zero = 0;
    kernels_.run(stream_, "to_double", rows * cols, ToDoubleArgs{rows * cols, x, copy});
    Libraries::check(libraries_.cublasSetPointerMode_v2(blas_, blas_host_numbers), "cublasSetPointerMode");
    Libraries::check(
        libraries_.cublasDgemm_v2(blas_, blas_plain, blas_transpose, whole(cols), whole(cols), whole(rows),
                                  &one, copy, whole(cols), copy, whole(cols), &zero, to, whole(cols)),
        "cublasDgemm");
}

// ------------------------------------------------------------------------------------------- factorizations
int Linear::solver_doubles(uint64_t n) {
    int factor = 0, eigen = 0;
    Libraries::check(
        libraries_.cusolverDnDpotrf_bufferSize(solver_, blas_lower, whole(n), nullptr, whole(n), &factor),
        "cusolverDnDpotrf_bufferSize");
    Libraries::check(libraries_.cusolverDnDsyevd_bufferSize(solver_, 1, blas_lower, whole(n), nullptr,
                                                            whole(n), nullptr, &eigen),
                     "cusolverDnDsyevd_bufferSize");
    return std::max(factor, eigen);
}

void Linear::invert_cholesky(double* a, double* inverse, uint64_t n, int32_t* status) {
    const int size = whole(n), doubles = solver_doubles(n);
    // Columns that depend on each other in float32 still have a difference, made of rounding; columns that
    // are equal get one from the shift.
    constexpr double invisible = 1e-15;
    kernels_.run(stream_, "shift", 1, ShiftArgs{n, invisible, a, nullptr});
    kernels_.run(stream_, "identity", n * n, ShiftArgs{n, 0, nullptr, inverse});
    const uint64_t before = taken_;
    auto* const work = take<double>(static_cast<uint64_t>(doubles));
    auto* const info = take<int32_t>(1);
    Libraries::check(libraries_.cusolverDnDpotrf(solver_, blas_lower, size, a, size, work, doubles, info),
                     "cusolverDnDpotrf");
    kernels_.run(stream_, "status", 1, StatusArgs{info, status});
    const double one = 1;
    Libraries::check(libraries_.cublasSetPointerMode_v2(blas_, blas_host_numbers), "cublasSetPointerMode");
    Libraries::check(libraries_.cublasDtrsm_v2(blas_, blas_left, blas_lower, blas_plain, 0, size, size, &one,
                                               a, size, inverse, size),
                     "cublasDtrsm");
    taken_ = before;
}

uint64_t Linear::orthonormalize_bytes(uint64_t rows, uint64_t cols) const {
    return padded_bytes(rows * cols * sizeof(double)) + 2 * padded_bytes(cols * cols * sizeof(double)) +
           padded_bytes(cols * cols * sizeof(float));
}

void Linear::orthonormalize(const float* x, uint64_t rows, uint64_t cols, float* out, int32_t* status) {
    const uint64_t before = taken_;
    auto* const copy = take<double>(rows * cols);
    auto* const square = take<double>(cols * cols);
    auto* const inverse = take<double>(cols * cols);
    auto* const triangle = take<float>(cols * cols);
    gram(x, rows, cols, copy, square);
    invert_cholesky(square, inverse, cols, status);
    // x L^-T: by columns as by rows, `inverse` seen by rows is L^-T.
    kernels_.run(stream_, "to_float", cols * cols, ToFloatArgs{cols * cols, inverse, triangle});
    product(false, false, rows, cols, cols, x, triangle, out);
    taken_ = before;
}

void Linear::factor(const ht_linear_factor& args) {
    const uint64_t n = args.cols;
    driver_.check(
        driver_.cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(args.status), 0, sizeof(int32_t), stream_),
        "clearing a status");
    const uint64_t solver = padded_bytes(static_cast<uint64_t>(solver_doubles(n)) * sizeof(double)) + 256;
    if (args.what == HT_FACTOR_QR) {
        reserve(orthonormalize_bytes(args.rows, n) + solver + padded_bytes(args.rows * n * sizeof(float)));
        auto* const first = take<float>(args.rows * n);
        orthonormalize(args.a, args.rows, n, first, args.status);
        orthonormalize(first, args.rows, n, args.out, args.status);
        return;
    }
    if (args.what != HT_FACTOR_CHOLESKY && args.what != HT_FACTOR_CHOLESKY_INVERSE)
        throw Failure(HT_REFUSED,
                      "factorization " + std::to_string(args.what) + " is not done on this device");
    if (args.rows != n) throw Failure(HT_REFUSED, "a Cholesky factor is of a square matrix");
    reserve(solver + 2 * padded_bytes(n * n * sizeof(double)));
    auto* const square = take<double>(n * n);
    auto* const inverse = take<double>(n * n);
    kernels_.run(stream_, "to_double", n * n, ToDoubleArgs{n * n, args.a, square});
    invert_cholesky(square, inverse, n, args.status);
    kernels_.run(stream_, "lower", n * n,
                 LowerArgs{n, args.what == HT_FACTOR_CHOLESKY ? square : inverse, args.out});
}

void Linear::svd(const ht_linear_svd& args) {
    const uint64_t rows = args.rows, cols = args.cols, shorter = std::min(rows, cols);
    const uint64_t rank = std::min<uint64_t>(args.rank, shorter);
    const uint64_t q = std::min<uint64_t>(rank + args.extra, shorter), longer = std::max(rows, cols);
    const int doubles = solver_doubles(q);
    reserve(3 * padded_bytes(longer * q * sizeof(float)) + orthonormalize_bytes(longer, q) +
            padded_bytes(static_cast<uint64_t>(doubles) * sizeof(double)) + 1024 +
            2 * padded_bytes(q * q * sizeof(double)) + padded_bytes(q * rank * sizeof(float)) +
            padded_bytes(q * sizeof(double)) + padded_bytes(rank * sizeof(float)));
    auto* const raw = take<float>(longer * q);
    auto* const range = take<float>(longer * q);
    auto* const core = take<float>(longer * q);
    driver_.check(
        driver_.cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(args.status), 0, sizeof(int32_t), stream_),
        "clearing a status");

    kernels_.run(stream_, "gaussian", cols * ((q + 1) / 2), GaussianArgs{cols, q, args.seed, core});
    for (uint32_t i = 0; i <= args.rounds; ++i) {
        product(false, false, rows, q, cols, args.a, core, raw);
        orthonormalize(raw, rows, q, range, args.status);
        if (i == args.rounds) break;
        product(true, false, cols, q, rows, args.a, range, raw);
        orthonormalize(raw, cols, q, core, args.status);
    }
    orthonormalize(range, rows, q, raw, args.status);  // what one pass leaves, the second takes away

    // What is left is small: a = raw * core', and the eigenvectors of core' core turn it.
    product(true, false, cols, q, rows, args.a, raw, core);
    auto* const turn = take<double>(q * q);
    auto* const squares = take<double>(q);
    auto* const leading = take<float>(rank * q);
    auto* const values = args.values ? args.values : take<float>(rank);
    const uint64_t before = taken_;
    auto* const copy = take<double>(cols * q);
    gram(core, cols, q, copy, turn);
    taken_ = before;
    auto* const work = take<double>(static_cast<uint64_t>(doubles));
    auto* const info = take<int32_t>(1);
    Libraries::check(libraries_.cusolverDnDsyevd(solver_, 1, blas_lower, whole(q), turn, whole(q), squares,
                                                 work, doubles, info),
                     "cusolverDnDsyevd");
    kernels_.run(stream_, "status", 1, StatusArgs{info, args.status});
    kernels_.run(stream_, "leading", rank * q, LeadingArgs{q, rank, squares, turn, leading, values});
    taken_ = before;
    product(false, true, rank, rows, q, leading, raw, args.left);
    product(false, true, cols, rank, q, core, leading, range);
    kernels_.run(stream_, "divide", cols * rank, DivideArgs{cols, rank, values, range});
    orthonormalize(range, cols, rank, args.right, args.status);
}

}  // namespace halftone::cuda
