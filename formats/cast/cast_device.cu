#include <halftone/ext/draft/kernels.h>
#include <halftone/toolbox/scalar_kernels.cuh>

#include "cast_elements.hpp"

namespace halftone::cast {

namespace {

using toolbox::on_device::at;

// A block takes rows; use(i, j) for each of their elements.
template <class Use>
__device__ void each_element(const ht_region& region, Use use) {
    for (uint64_t i = blockIdx.x; i < region.rows; i += gridDim.x)
        for (uint64_t j = threadIdx.x; j < region.cols; j += blockDim.x)
            use(i, j);
}

// work.operator()<Element>() for the type that the grid names.
template <class Work>
__device__ void for_element(const ht_kernel_args& args, Work work) {
    switch (static_cast<const GridHeader*>(args.grid)->to) {
        case To::bf16:
            return work.template operator()<toolbox::Bf16>();
        case To::f16:
            return work.template operator()<toolbox::F16>();
        case To::f32:
            return work.template operator()<toolbox::F32>();
        case To::e4m3fn:
            return work.template operator()<toolbox::E4m3fn>();
        case To::e5m2:
            return work.template operator()<toolbox::E5m2>();
    }
}

}  // namespace

}  // namespace halftone::cast

using namespace halftone::cast;

extern "C" __global__ void encode(ht_kernel_args args) {
    for_element(args, [&]<class Element>() {
        auto* const codes = reinterpret_cast<typename Element::Code*>(args.band);
        each_element(args.region, [&](uint64_t i, uint64_t j) {
            codes[i * args.region.cols + j] = Element::encode(at(args.in, i, j));
        });
    });
}

extern "C" __global__ void decode(ht_kernel_args args) {
    for_element(args, [&]<class Element>() {
        const auto* const codes = reinterpret_cast<const typename Element::Code*>(args.band);
        each_element(args.region, [&](uint64_t i, uint64_t j) {
            at(args.out, i, j) = Element::decode(codes[i * args.region.cols + j]);
        });
    });
}

extern "C" __global__ void snap(ht_kernel_args args) {
    for_element(args, [&]<class Element>() {
        each_element(args.region, [&](uint64_t i, uint64_t j) {
            at(args.out, i, j) = Element::decode(Element::encode(at(args.in, i, j)));
        });
    });
}

extern "C" __global__ void sigma(ht_kernel_args args) {
    each_element(args.region, [&](uint64_t i, uint64_t j) { at(args.out, i, j) = 1.0f; });
}

extern "C" __global__ void around(ht_kernel_args args) {
    for_element(args, [&]<class Element>() {
        each_element(args.region, [&](uint64_t i, uint64_t j) {
            float lo, hi;
            halftone::cast::around<Element>(at(args.in, i, j), lo, hi);
            at(args.out, i, j) = lo;
            at(args.out_2, i, j) = hi;
        });
    });
}
