// cuBLAS and cuSOLVER, looked up when the first stream needs them. Only what is used is declared: the plugin
// needs neither their headers to be built nor the libraries to be loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda.h>

namespace halftone::cuda {

using BlasHandle = struct BlasContext*;
using SolverHandle = struct SolverContext*;
using SolverOptions = struct SolverParameters*;

// Values of their enums, as their documentation gives them.
enum BlasOperation : int { blas_plain = 0, blas_transpose = 1 };
enum BlasSide : int { blas_left = 0, blas_right = 1 };
enum BlasTriangle : int { blas_lower = 0, blas_upper = 1 };
enum BlasPointers : int { blas_host_numbers = 0, blas_device_numbers = 1 };
enum LibraryType : int { type_f32 = 0, type_f64 = 1, type_bf16 = 14 };
enum BlasCompute : int { compute_f32 = 68 };

struct Libraries {
    int (*cublasCreate_v2)(BlasHandle*);
    int (*cublasDestroy_v2)(BlasHandle);
    int (*cublasSetStream_v2)(BlasHandle, CUstream);
    int (*cublasSetWorkspace_v2)(BlasHandle, void*, size_t);
    int (*cublasSetMathMode)(BlasHandle, int);
    int (*cublasSetAtomicsMode)(BlasHandle, int);
    int (*cublasSetPointerMode_v2)(BlasHandle, BlasPointers);
    int (*cublasSgemm_v2)(BlasHandle, BlasOperation, BlasOperation, int, int, int, const float*, const float*,
                          int, const float*, int, const float*, float*, int);
    int (*cublasDgemm_v2)(BlasHandle, BlasOperation, BlasOperation, int, int, int, const double*,
                          const double*, int, const double*, int, const double*, double*, int);
    int (*cublasGemmEx)(BlasHandle, BlasOperation, BlasOperation, int, int, int, const void*, const void*,
                        LibraryType, int, const void*, LibraryType, int, const void*, void*, LibraryType, int,
                        BlasCompute, int);
    int (*cublasDtrsm_v2)(BlasHandle, BlasSide, BlasTriangle, BlasOperation, int, int, int, const double*,
                          const double*, int, double*, int);

    int (*cusolverDnCreate)(SolverHandle*);
    int (*cusolverDnDestroy)(SolverHandle);
    int (*cusolverDnSetStream)(SolverHandle, CUstream);
    int (*cusolverDnDpotrf_bufferSize)(SolverHandle, BlasTriangle, int, double*, int, int*);
    int (*cusolverDnDpotrf)(SolverHandle, BlasTriangle, int, double*, int, double*, int, int*);
    int (*cusolverDnDsyevd_bufferSize)(SolverHandle, int, BlasTriangle, int, const double*, int,
                                       const double*, int*);
    int (*cusolverDnDsyevd)(SolverHandle, int, BlasTriangle, int, double*, int, double*, double*, int, int*);

    // Throws Failure(HT_REFUSED) if they are not there.
    static const Libraries& get();
    // Throws what a status other than 0 stands for.
    static void check(int status, const char* function);
};

}  // namespace halftone::cuda
