// The kernels for devices: the arithmetic of group.hpp in the order of the CPU, a thread to a group or a
// number.
#include <halftone/ext/draft/kernels.h>
#include <halftone/toolbox/hadamard.cuh>
#include <halftone/toolbox/nibbles.hpp>
#include <halftone/toolbox/scalar_kernels.cuh>

#include "grid.hpp"
#include "group.hpp"

namespace halftone::asym_w4a8_int8 {

namespace {

using toolbox::bits_of, toolbox::float_of, toolbox::on_device::at;

__device__ const GridLayout& layout_of(const ht_kernel_args& args) {
    return *static_cast<const GridLayout*>(args.grid);
}
__device__ std::byte* grid_of(const ht_kernel_args& args) {
    return static_cast<std::byte*>(args.grid);
}

// Magnitudes are ordered as their bits are.
template <class X>
__device__ float largest(const X& x, uint64_t n) {
    uint32_t most = 0;
    for (uint64_t i = 0; i < n; ++i)
        most = max(most, bits_of(x(i)) & 0x7FFFFFFF);
    return float_of(most);
}

// ---- fit_pass

// What is drawn of row i, as many numbers at a time as there are threads, in units of the largest of each
// one's group: use(n) with the first n of `numbers`.
template <class Use>
__device__ void each_drawn(const ht_kernel_args& args, uint64_t i, const SampleView::Drawn& drawn,
                           float* numbers, Use use) {
    const uint64_t group = layout_of(args).group;
    for (uint64_t first = 0; first < drawn.count; first += blockDim.x) {
        const uint64_t k = first + threadIdx.x;
        if (k < drawn.count) {
            const uint64_t j = drawn.column(k), begin = j / group * group;
            const float most = largest([&](uint64_t e) { return at(args.in, i, begin + e); }, group);
            numbers[threadIdx.x] = at(args.in, i, j) / first_scale(most);
        }
        __syncthreads();
        use(min(static_cast<uint64_t>(blockDim.x), drawn.count - first));
        __syncthreads();
    }
}

// A block takes a granule. One thread adds up what all have made, since sums have an order.
__device__ void judge(const ht_kernel_args& args) {
    __shared__ float numbers[HT_KERNEL_THREADS];
    const GridLayout& layout = layout_of(args);
    const SampleView sampled = layout.sampled(grid_of(args));
    const ht_region& region = args.region;
    const uint64_t granule = layout.sample.granule_rows, most = layout.sample.most_fitted;
    for (uint64_t g = blockIdx.x; g * granule < region.rows; g += gridDim.x) {
        auto* const to = reinterpret_cast<Seen*>(static_cast<char*>(args.partials) + g * Seen::bytes(most));
        const uint64_t end = region.row + min((g + 1) * granule, region.rows);
        Seen seen{};
        for (uint64_t s = sampled.first_from(region.row + g * granule);
             s < layout.sample.rows && sampled.row_at(s) < end; ++s) {
            const uint64_t i = sampled.row_at(s) - region.row;
            each_drawn(args, i, sampled.judged_of(s), numbers, [&](uint64_t n) {
                if (threadIdx.x > 0) return;
                for (uint64_t k = 0; k < n; ++k)
                    seen.judge(numbers[k]);
            });
            each_drawn(args, i, sampled.fitted_of(s), numbers, [&](uint64_t n) {
                n = min(n, most - seen.fitted);
                if (threadIdx.x < n) to->numbers()[seen.fitted + threadIdx.x] = numbers[threadIdx.x];
                seen.fitted += n;
            });
        }
        if (threadIdx.x == 0) *to = seen;
    }
}

// ---- fit_band

// Calls make(i, k) for the numbers i of a group in pieces as long as a register, k being their places in it,
// and then add(i) for the piece. What is left over of a register keeps what it had.
template <class Make, class Add>
__device__ void each_register(uint64_t group, Make make, Add add) {
    for (uint64_t first = 0; first < group; first += lanes) {
#pragma unroll
        for (uint64_t k = 0; k < lanes; ++k)
            if (first + k < group) make(first + k, k);
        add(first);
    }
}

// As fit_groups() does it, of one group; gives the largest magnitude that the scale makes.
template <size_t parts, class X>
__device__ float fit_group(const X& x, uint64_t group, const OwnLevels& book, float& scale) {
    scale = first_scale(largest(x, group));
    for (int round = 0; round < 2; ++round) {
        GroupSum<parts> products(group), squares(group);
        float product[lanes] = {}, square[lanes] = {};
        each_register(
            group,
            [&](uint64_t i, uint64_t k) {
                const float number = x(i), value = level_of(number / scale, book);
                product[k] = number * value;
                square[k] = value * value;
            },
            [&](uint64_t first) {
                products.add(product, lanes, first);
                squares.add(square, lanes, first);
            });
        scale = refitted(scale, products.total(), squares.total());
    }
    return largest([&](uint64_t i) { return level_of(x(i) / scale, book) * scale; }, group);
}

template <size_t parts, class X>
__device__ float squared_error(const X& x, const float* weight, uint64_t group, float step,
                               const OwnLevels& levels) {
    GroupSum<parts> errors(group);
    float error[lanes] = {};
    each_register(
        group,
        [&](uint64_t i, uint64_t k) {
            const float found = error_of(x(i), step, levels);
            error[k] = weight ? weight[i] * found : found;
        },
        [&](uint64_t first) { errors.add(error, lanes, first); });
    return errors.total();
}

// A block takes a row and a thread a group.
template <size_t parts>
__device__ void fit_rows(const ht_kernel_args& args) {
    __shared__ uint32_t most_of_row;
    const GridLayout& layout = layout_of(args);
    std::byte* const grid = grid_of(args);
    const uint64_t group = layout.group, groups = layout.groups_of_row();
    const Levels& levels = *layout.book(grid);
    const OwnLevels book(LevelView{levels.level, levels.upper});
    for (uint64_t i = blockIdx.x; i < args.region.rows; i += gridDim.x) {
        const uint64_t base = (args.region.row + i) * groups;
        float* const steps = layout.steps(grid) + base;  // of the groups at first
        uint8_t* const codes = layout.scale_codes(grid) + base;
        const auto numbers_of = [&](uint64_t k) {
            return [&args, i, first = k * group](uint64_t e) { return at(args.in, i, first + e); };
        };
        if (threadIdx.x == 0) most_of_row = 0;
        __syncthreads();
        float most = 0;
        for (uint64_t k = threadIdx.x; k < groups; k += blockDim.x) {
            float scale, found;
            if (layout.plain_levels) {
                const float amax = largest(numbers_of(k), group);
                scale = plain_scale(amax);
                found = most_of_plain(amax, scale);
            } else {
                found = fit_group<parts>(numbers_of(k), group, book, scale);
            }
            steps[k] = scale;
            most = found > most ? found : most;
        }
        const uint32_t of_warp = toolbox::on_device::warp_largest(bits_of(most));
        if (threadIdx.x % 32 == 0) atomicMax(&most_of_row, of_warp);
        __syncthreads();
        const float step = row_step(float_of(most_of_row));
        for (uint64_t k = threadIdx.x; k < groups; k += blockDim.x) {
            const uint8_t plain = toolbox::E4m3fn::encode(steps[k] / step);
            const float* const weight = args.column_weight ? args.column_weight + k * group : nullptr;
            steps[k] = step;
            codes[k] = layout.searches ? searched_scale(plain,
                                                        [&](uint8_t code) {
                                                            return squared_error<parts>(
                                                                numbers_of(k), weight, group, step,
                                                                OwnLevels(layout.levels(grid, code)));
                                                        })
                                       : plain;
        }
        __syncthreads();
    }
}

// ---- On the fitted grid

struct Group {
    float step, offset;
    LevelView levels;
};

__device__ Group group_at(const ht_kernel_args& args, uint64_t row, uint64_t col) {
    const GridLayout& layout = layout_of(args);
    const std::byte* const grid = grid_of(args);
    const uint64_t k = static_cast<uint32_t>(col) / static_cast<uint32_t>(layout.group);
    const uint64_t g = row * layout.groups_of_row() + k;
    return {layout.steps(grid)[g], layout.offset(grid, row, k),
            layout.levels(grid, layout.scale_codes(grid)[g])};
}

// use(i, j, group) for the elements of a region, `apart` columns from one to the next; a block takes rows.
template <class Use>
__device__ void each_element(const ht_kernel_args& args, uint64_t apart, Use use) {
    const ht_region& region = args.region;
    for (uint64_t i = blockIdx.x; i < region.rows; i += gridDim.x)
        for (uint64_t j = apart * threadIdx.x; j < region.cols; j += apart * blockDim.x)
            use(i, j, group_at(args, region.row + i, region.col + j));
}

constexpr toolbox::Packing packing = toolbox::Packing::low_nibble_first;

}  // namespace

}  // namespace halftone::asym_w4a8_int8

using namespace halftone::asym_w4a8_int8;

extern "C" __global__ void fit_pass(ht_kernel_args args) {
    judge(args);
}

extern "C" __global__ void fit_band(ht_kernel_args args) {
    if (layout_of(args).group < 4 * lanes)
        fit_rows<1>(args);
    else
        fit_rows<4>(args);
}

// Whole rows, whose number of columns is even, as a group's is.
extern "C" __global__ void encode(ht_kernel_args args) {
    each_element(args, 2, [&](uint64_t i, uint64_t j, const Group& g) {
        const auto code = [&](uint64_t col) {
            return code_of(in_steps(at(args.in, i, col), g.step, g.offset), g.levels);
        };
        args.band[(i * args.region.cols + j) / 2] =
            halftone::toolbox::two_nibbles(code(j), code(j + 1), packing);
    });
}

extern "C" __global__ void decode(ht_kernel_args args) {
    each_element(args, 1, [&](uint64_t i, uint64_t j, const Group& g) {
        const uint64_t place = i * args.region.cols + j;
        const uint8_t code = halftone::toolbox::nibble_at(args.band[place / 2], place, packing);
        at(args.out, i, j) = value_of(g.levels.level[code], g.step, g.offset);
    });
}

extern "C" __global__ void snap(ht_kernel_args args) {
    each_element(args, 1, [&](uint64_t i, uint64_t j, const Group& g) {
        const float level = level_of(in_steps(at(args.in, i, j), g.step, g.offset), g.levels);
        at(args.out, i, j) = value_of(level, g.step, g.offset);
    });
}

extern "C" __global__ void sigma(ht_kernel_args args) {
    each_element(args, 1, [&](uint64_t i, uint64_t j, const Group& g) {
        at(args.out, i, j) = g.step > 0 ? g.step : 1.0f;
    });
}

extern "C" __global__ void around(ht_kernel_args args) {
    each_element(args, 1, [&](uint64_t i, uint64_t j, const Group& g) {
        float value[16], lo, hi;
        for (size_t k = 0; k < 16; ++k)
            value[k] = value_of(g.levels.level[k], g.step, g.offset);
        around_of(at(args.in, i, j), value, lo, hi);
        at(args.out, i, j) = lo;
        at(args.out_2, i, j) = hi;
    });
}

extern "C" __global__ void rotate(ht_kernel_args args) {
    halftone::toolbox::on_device::rotate_rows(args, layout_of(args).rotation);
}
