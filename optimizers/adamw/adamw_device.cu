#include <halftone/ext/draft/op_kernels.cuh>

#include "adamw_element.hpp"

using namespace halftone;
using AdamWNumbers = on_device::Numbers<adamw::N_NUMBERS>;

// mats: the moves, their first and second moments.
extern "C" __global__ void adamw_step(ht_op_args args) {
    const adamw::Step take(AdamWNumbers(args).at);
    on_device::each_element(args, [&](uint64_t i, uint64_t j, uint64_t k) {
        take(on_device::mat(args, 0, i, j), on_device::mat(args, 1, i, j), on_device::mat(args, 2, i, j),
             args.gradient[k], args.sigma[k]);
    });
}

extern "C" __global__ void adamw_next(ht_op_args args) {
    if (threadIdx.x > 0) return;
    AdamWNumbers numbers(args);
    adamw::advance(numbers.at);
    numbers.write(args);
}
