#include "core/rounding/device_candidate.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/linalg/tiles.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/views.hpp"

namespace halftone {
namespace {

Grid copy_of(const Grid& grid) {
    Grid copy(grid.size());
    std::memcpy(copy.data(), grid.data(), grid.size());
    return copy;
}

}  // namespace

// Little beside what is kept, too.
uint64_t rows_of_device_bands(const FormatPlan& format) {
    constexpr uint64_t wanted = 64u << 20;
    const uint64_t rows = format.source().rows, granule = std::min(format.facts().granule_rows, rows);
    return std::min(std::max<uint64_t>(1, wanted / (granule * format.source().cols)) * granule, rows);
}

bool encodes_on_device(const FormatPlan& format) {
    return format.kernels("encode") && format.kernels("decode");
}

DeviceCandidates::DeviceCandidates(DeviceWork& work, const RoundingTask& task)
    : work_(work),
      task_(task),
      format_(*task.format),
      staged_(work.device),
      band_rows_(rows_of_device_bands(format_)),
      weights_(work.device, task.weights.rows(), task.weights.cols()),
      band_(work.device, band_rows_, weights_.cols) {
    staged_.upload(work_.stream, weights_.at(), task.weights.data(), weights_.bytes());
    add_grid(copy_of(*task.grid));
}

void DeviceCandidates::add_grid(Grid grid) {
    OwnGrid& own = grids_.emplace_back(OwnGrid{std::move(grid), DeviceGrid(work_.device, format_)});
    if (!own.device.snaps(own.host))
        throw DeviceFailure(DeviceFailure::Kind::refused,
                            format_.plugin() + " has neither kernels nor a table");
    own.device.upload(work_.stream, own.host);
    work_.stream.wait();
    grid_ = &own;
}

DeviceMatrix& DeviceCandidates::wanted(DeviceMatrix& matrix) const {
    if (matrix.empty()) matrix = DeviceMatrix(work_.device, band_rows_, weights_.cols);
    return matrix;
}

const DeviceMatrix& DeviceCandidates::sigma(uint64_t row, uint64_t rows) {
    grid_->device.sigma(work_.stream, region(row, rows), wanted(sigma_).view());
    return sigma_;
}

const DeviceMatrix& DeviceCandidates::nearest(uint64_t row, uint64_t rows) {
    grid_->device.snap(work_.stream, region(row, rows), weights_.view(row), wanted(nearest_).view());
    return nearest_;
}

DeviceCandidates::Around DeviceCandidates::around(uint64_t row, uint64_t rows, const ht_view& in) {
    const DeviceMatrix &lo = wanted(lo_), &hi = wanted(hi_);
    grid_->device.around(work_.stream, region(row, rows), in, lo.view(), hi.view());
    return {lo, hi};
}

void DeviceCandidates::values(const DeviceCandidate& candidate, uint64_t row, uint64_t rows, float* out) {
    const uint64_t n = rows * weights_.cols;
    if (candidate.space == HT_SPACE_VALUES)
        return work_.stream.copy(out, candidate.at.at(row), n * sizeof(float));
    grid_->device.snap(work_.stream, region(row, rows), weights_.view(row), view_of_band(out));
    const ht_steps_args args{sizeof(ht_steps_args), 0,  n, out, candidate.at.at(row),
                             sigma(row, rows).at(), out};
    work_.stream.launch(work_.device->common(), "steps", blocks_for(*work_.device, args.n), args);
}

void DeviceCandidates::stored(const DeviceCandidate& candidate, uint64_t row, uint64_t rows, float* out) {
    const bool as_it_is = candidate.space == HT_SPACE_VALUES;
    if (!as_it_is) values(candidate, row, rows, out);
    grid_->device.snap(work_.stream, region(row, rows), as_it_is ? candidate.at.view(row) : view_of_band(out),
                       view_of_band(out));
}

DeviceCandidates::Stored DeviceCandidates::encode(const DeviceCandidate& candidate, uint64_t grid) {
    grid_ = &grids_[grid];
    const DeviceGrid& there = grid_->device;
    const bool on_device = encodes_on_device(format_);
    Stored result{AlignedBytes(format_.weight_bytes()), {}, 0};
    DeviceBuffer bytes;
    for (uint64_t row = 0; row < weights_.rows; row += band_rows_) {
        const uint64_t n = std::min(band_rows_, weights_.rows - row), elements = n * weights_.cols;
        const auto to = result.codes.bytes().subspan(format_.band_offset(row), format_.band_bytes(row, n));
        values(candidate, row, n, band_.at());
        if (on_device) {
            bytes.grow(work_.device, to.size());
            work_.stream.fill(bytes.data(), 0, to.size());
            there.encode(work_.stream, region(row, n), band_.view(), bytes.data());
            there.decode(work_.stream, region(row, n), bytes.data(), band_.view());
            work_.sums.run(work_.stream, {.n = elements, .value = band_.at(), .weights = weights_.at(row)},
                           row > 0, work_.ignored);
            staged_.download(work_.stream, to.data(), bytes.data(), to.size());
        } else {
            Matrix values_here(n, weights_.cols);
            staged_.download(work_.stream, values_here.data(), band_.at(), elements * sizeof(float));
            encode_on_cpu(region(row, n), values_here, grid_->host, to, result.squared_error);
        }
    }
    if (on_device) result.squared_error = work_.numbers.read(work_.stream, work_.ignored);
    result.grid = std::move(grid_->host);
    return result;
}

void DeviceCandidates::encode_on_cpu(const ht_region& whole, Matrix& values, const Grid& grid,
                                     std::span<std::byte> to, double& squared_error) const {
    const uint64_t most = rows_of_a_band(format_), cols = weights_.cols;
    std::vector<double> squares(pieces(whole.rows, most));
    const uint64_t before = format_.band_offset(whole.row);
    each_tile(squares.size(), [&](uint64_t i) {
        const uint64_t from = i * most, n = std::min(most, whole.rows - from), row = whole.row + from;
        const MatrixView band = values.view().block(from, 0, n, cols);
        const auto bytes = to.subspan(format_.band_offset(row) - before, format_.band_bytes(row, n));
        format_.encode(grid, region(row, n), view_of(band), bytes);
        format_.decode(grid, region(row, n), bytes, view_of(band));
        for (uint64_t r = 0; r < n; ++r)
            for (uint64_t j = 0; j < cols; ++j) {
                const double e = static_cast<double>(band.row(r)[j]) -
                                 static_cast<double>(task_.weights.view().row(row + r)[j]);
                squares[i] += e * e;
            }
    });
    for (const double one : squares)
        squared_error += one;
}

}  // namespace halftone
