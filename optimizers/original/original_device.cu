#include <halftone/ext/draft/op_kernels.cuh>

using namespace halftone;

// As from_nearest() of original.cpp.
extern "C" __global__ void original_from_nearest(ht_op_args args) {
    const auto far = static_cast<float>(*args.nums[0]);
    on_device::each_element(args, [&](uint64_t i, uint64_t j, uint64_t k) {
        on_device::mat(args, 0, i, j) = args.nearest[k] - far * args.gradient[k];
    });
}
