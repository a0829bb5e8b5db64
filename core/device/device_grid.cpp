#include "core/device/device_grid.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace halftone {
namespace {

// A kernel takes a row or a group of elements per block or warp; blocks that find nothing to do cost little.
uint64_t blocks_of(const ht_region& region) {
    return std::clamp<uint64_t>(region.rows * region.cols / 1024, 1, 1u << 16);
}

// A pointer into the host's grid, seen in the device's copy of it.
template <class T>
const T* moved(const T* from, const Grid& host, const std::byte* device) {
    if (!from) return nullptr;
    return reinterpret_cast<const T*>(device + (reinterpret_cast<const std::byte*>(from) - host.data()));
}

}  // namespace

DeviceGrid::DeviceGrid(std::shared_ptr<Device> device, const FormatPlan& format)
    : device_(std::move(device)), format_(format), memory_(device_, format.facts().grid_bytes) {}

bool DeviceGrid::snaps(const Grid& grid) const {
    return has("snap") || format_.table(grid).has_value();
}

void DeviceGrid::upload(DeviceStream& stream, const Grid& grid) {
    stream.copy(memory_.data(), grid.data(), format_.facts().grid_bytes);
    host_ = &grid;
    sigma_ = {};
    table_ = format_.table(grid);
    if (!table_) return;
    table_->level = moved(table_->level, grid, memory_.data());
    table_->upper = moved(table_->upper, grid, memory_.data());
    table_->pre = moved(table_->pre, grid, memory_.data());
    table_->post = moved(table_->post, grid, memory_.data());
    table_->table_of = moved(table_->table_of, grid, memory_.data());
}

void DeviceGrid::download(DeviceStream& stream, Grid& grid) const {
    stream.copy(grid.data(), memory_.data(), format_.facts().grid_bytes);
    stream.wait();
}

void DeviceGrid::launch(DeviceStream& stream, const char* kernel, const ht_region& region,
                        ht_kernel_args& args) const {
    const ht_kernels* const kernels = format_.kernels(kernel);
    if (!kernels)
        throw DeviceFailure(DeviceFailure::Kind::refused,
                            fmt::format("{} has no kernel for {}()", format_.plugin(), kernel));
    args.size = sizeof args;
    args.grid = memory_.data();
    args.region = region;
    stream.launch(device_->module(*kernels), kernel, blocks_of(region), args);
}

void DeviceGrid::rotate(DeviceStream& stream, bool back, const ht_region& region, const ht_view& rows) const {
    ht_kernel_args args{};
    args.pass = back ? 1 : 0;
    args.in = rows;
    launch(stream, "rotate", region, args);
}

void DeviceGrid::fit_pass(DeviceStream& stream, uint32_t pass, const ht_region& region, const ht_view& in,
                          void* partials) const {
    ht_kernel_args args{};
    args.pass = pass;
    args.in = in;
    args.partials = partials;
    launch(stream, "fit_pass", region, args);
}

void DeviceGrid::fit_band(DeviceStream& stream, const ht_region& region, const ht_view& in) {
    ht_kernel_args args{};
    args.in = in;
    launch(stream, "fit_band", region, args);
}

void DeviceGrid::encode(DeviceStream& stream, const ht_region& region, const ht_view& in, void* band) const {
    ht_kernel_args args{};
    args.in = in;
    args.band = static_cast<uint8_t*>(band);
    launch(stream, "encode", region, args);
}

void DeviceGrid::decode(DeviceStream& stream, const ht_region& region, const void* band,
                        const ht_view& out) const {
    ht_kernel_args args{};
    args.out = out;
    args.band = static_cast<uint8_t*>(const_cast<void*>(band));
    launch(stream, "decode", region, args);
}

void DeviceGrid::snap(DeviceStream& stream, const ht_region& region, const ht_view& in,
                      const ht_view& out) const {
    if (has("snap") || !table_) {
        ht_kernel_args args{};
        args.in = in;
        args.out = out;
        return launch(stream, "snap", region, args);
    }
    const ht_facts& facts = format_.facts();
    ht_table_args args{};
    args.size = sizeof args;
    args.scale_kind = facts.scale_kind;
    args.rows = format_.source().rows;
    args.cols = format_.source().cols;
    args.scale_rows = facts.scale_rows;
    args.scale_cols = facts.scale_cols;
    args.table = *table_;
    args.region = region;
    args.in = in;
    args.out = out;
    stream.launch(device_->common(), "table_snap", blocks_of(region), args);
}

void DeviceGrid::sigma(DeviceStream& stream, const ht_region& region, const ht_view& out) {
    if (has("sigma")) {
        ht_kernel_args args{};
        args.out = out;
        return launch(stream, "sigma", region, args);
    }
    const uint64_t rows = format_.source().rows, cols = format_.source().cols;
    if (sigma_.size() == 0) {
        sigma_ = DeviceBuffer(device_, rows * cols * sizeof(float));
        constexpr uint64_t wanted = 1u << 20;  // elements of a strip
        const uint64_t strip = std::max<uint64_t>(1, wanted / cols);
        AlignedBytes values(std::min(strip, rows) * cols * sizeof(float));
        for (uint64_t row = 0; row < rows; row += strip) {
            const uint64_t n = std::min(strip, rows - row);
            format_.sigma(*host_, {row, 0, n, cols},
                          {values.as<float>().data(), static_cast<int64_t>(cols), 1});
            stream.copy(sigma_.as<float>() + row * cols, values.data(), n * cols * sizeof(float));
            stream.wait();
        }
    }
    if (out.col_stride != 1 || out.row_stride != static_cast<int64_t>(cols) || region.cols != cols)
        throw DeviceFailure(DeviceFailure::Kind::refused, "sigma without a kernel is made of whole rows");
    stream.copy(out.at, sigma_.as<float>() + region.row * cols, region.rows * cols * sizeof(float));
}

void DeviceGrid::around(DeviceStream& stream, const ht_region& region, const ht_view& in, const ht_view& lo,
                        const ht_view& hi) const {
    ht_kernel_args args{};
    args.in = in;
    args.out = lo;
    args.out_2 = hi;
    launch(stream, "around", region, args);
}

}  // namespace halftone
