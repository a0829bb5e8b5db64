// What the kernels of linear_kernels.cu take; included there and by their callers.
#pragma once

#include <cstdint>

namespace halftone::cuda {

struct NumbersArgs {  // out = {alpha, beta} as float32
    const double *alpha, *beta;
    float* out;
};
struct GaussianArgs {  // rows x cols normally distributed numbers; a row is a stream of words
    uint64_t rows, cols, seed;
    float* out;
};
struct ToDoubleArgs {
    uint64_t n;
    const float* from;
    double* to;
};
struct ToFloatArgs {
    uint64_t n;
    const double* from;
    float* to;
};
struct ShiftArgs {  // adds share * trace to the diagonal of an n x n matrix, and makes `identity` one
    uint64_t n;
    double share;
    double *a, *identity;
};
struct LowerArgs {  // the lower triangle of a column-major matrix, row-major, zeros above
    uint64_t n;
    const double* from;
    float* to;
};
struct StatusArgs {  // *status |= info != 0
    const int32_t* info;
    int32_t* status;
};
struct LeadingArgs {  // the last `rank` of n eigenvectors, greatest value first; values are their roots
    uint64_t n, rank;
    const double *squares, *vectors;
    float *leading, *values;
};
struct DivideArgs {  // columns by values, where those are not 0
    uint64_t rows, cols;
    const float* values;
    float* at;
};
struct SplitArgs {  // op(x), rows x inner, as bfloat16 parts side by side, each part `padded` long
    uint64_t rows, inner, padded, stride;
    int32_t transpose;
    int32_t second_is_low;  // high, low, high; otherwise high, high, low
    const float* x;
    uint16_t* out;
};

}  // namespace halftone::cuda
