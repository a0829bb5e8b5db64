#include "libraries.hpp"

#include "driver.hpp"

namespace halftone::cuda {
namespace {

template <class Function>
void look_up(void* library, const char* name, Function*& into) {
    into = reinterpret_cast<Function*>(symbol(library, name));
}

Libraries load() {
    static constexpr const char* blas_names[] = {"libcublas.so.13", "libcublas.so.12", nullptr};
    static constexpr const char* solver_names[] = {"libcusolver.so.12", "libcusolver.so.11", nullptr};
    Libraries all{};
    void* const blas = open_library(blas_names, "cuBLAS");
    void* const solver = open_library(solver_names, "cuSOLVER");
#define HALFTONE_BLAS(name) look_up(blas, #name, all.name)
    HALFTONE_BLAS(cublasCreate_v2);
    HALFTONE_BLAS(cublasDestroy_v2);
    HALFTONE_BLAS(cublasSetStream_v2);
    HALFTONE_BLAS(cublasSetWorkspace_v2);
    HALFTONE_BLAS(cublasSetMathMode);
    HALFTONE_BLAS(cublasSetAtomicsMode);
    HALFTONE_BLAS(cublasSetPointerMode_v2);
    HALFTONE_BLAS(cublasSgemm_v2);
    HALFTONE_BLAS(cublasDgemm_v2);
    HALFTONE_BLAS(cublasGemmEx);
    HALFTONE_BLAS(cublasDtrsm_v2);
#undef HALFTONE_BLAS
#define HALFTONE_SOLVER(name) look_up(solver, #name, all.name)
    HALFTONE_SOLVER(cusolverDnCreate);
    HALFTONE_SOLVER(cusolverDnDestroy);
    HALFTONE_SOLVER(cusolverDnSetStream);
    HALFTONE_SOLVER(cusolverDnDpotrf_bufferSize);
    HALFTONE_SOLVER(cusolverDnDpotrf);
    HALFTONE_SOLVER(cusolverDnDsyevd_bufferSize);
    HALFTONE_SOLVER(cusolverDnDsyevd);
#undef HALFTONE_SOLVER
    return all;
}

}  // namespace

const Libraries& Libraries::get() {
    static const Libraries libraries = load();  // tried again after a failure
    return libraries;
}

void Libraries::check(int status, const char* function) {
    if (status == 0) return;
    constexpr int alloc_failed_blas = 3, alloc_failed_solver = 2;
    const bool memory = status == alloc_failed_blas || status == alloc_failed_solver;
    throw Failure(memory ? static_cast<ht_status>(HT_DEVICE_OUT_OF_MEMORY) : HT_FAILED,
                  std::string(function) + " failed with status " + std::to_string(status));
}

}  // namespace halftone::cuda
