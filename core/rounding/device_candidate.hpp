#pragma once

#include <deque>

#include "core/device/device_grid.hpp"
#include "core/rounding/device_numbers.hpp"
#include "core/rounding/problem.hpp"
#include "core/rounding/staged_copies.hpp"

namespace halftone {

// A matrix of the weights' size, on a device, as its numbers are meant.
struct DeviceCandidate {
    const DeviceMatrix& at;
    ht_space space;
};

// Rows of a band: whole granules, so many that a product with a band fills the device.
uint64_t rows_of_device_bands(const FormatPlan&);

// Otherwise encode() calls the format's functions for the CPU.
bool encodes_on_device(const FormatPlan&);

// What candidates are worth on the grid of the moment, band by band: their values, what would be stored of
// them, and its bytes. Regions are whole rows.
class DeviceCandidates {
  public:
    // Refers to all it is given. Uploads the task's weights and its grid, and waits. Throws DeviceFailure if
    // the format cannot snap there.
    DeviceCandidates(DeviceWork&, const RoundingTask&);

    const DeviceMatrix& weights() const { return weights_; }
    uint64_t band_rows() const { return band_rows_; }
    float* band() const { return band_.at(); }  // room for one, used by encode() too
    ht_region region(uint64_t row, uint64_t rows) const { return {row, 0, rows, weights_.cols}; }

    // Grids are counted from the task's, which is 0; the last one is what everything is made on.
    void add_grid(Grid);
    uint64_t grid() const { return grids_.size() - 1; }

    void values(const DeviceCandidate&, uint64_t row, uint64_t rows, float* out);
    void stored(const DeviceCandidate&, uint64_t row, uint64_t rows, float* out);
    // Memory that is used again; nearest is what the weights are rounded to.
    const DeviceMatrix& sigma(uint64_t row, uint64_t rows);
    const DeviceMatrix& nearest(uint64_t row, uint64_t rows);
    struct Around {
        const DeviceMatrix &lo, &hi;
    };
    Around around(uint64_t row, uint64_t rows, const ht_view& in);

    // Every byte of the stored weight on a grid, which is given away with it, and the squared error of what
    // decode() makes of the bytes. The last call.
    struct Stored {
        AlignedBytes codes;
        Grid grid;
        double squared_error = 0;
    };
    Stored encode(const DeviceCandidate&, uint64_t grid);

  private:
    struct OwnGrid {
        Grid host;
        DeviceGrid device;
    };
    ht_view view_of_band(float* band) const { return {band, static_cast<int64_t>(weights_.cols), 1}; }
    DeviceMatrix& wanted(DeviceMatrix&) const;
    void encode_on_cpu(const ht_region&, Matrix& values, const Grid&, std::span<std::byte> to,
                       double& squared_error) const;

    DeviceWork& work_;
    const RoundingTask& task_;
    const FormatPlan& format_;
    StagedCopies staged_;
    const uint64_t band_rows_;
    DeviceMatrix weights_, band_, sigma_, nearest_, lo_, hi_;
    std::deque<OwnGrid> grids_;  // the first and what refit() made
    OwnGrid* grid_ = nullptr;
};

}  // namespace halftone
