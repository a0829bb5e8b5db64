#include "core/run/device_job.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "core/device/device_grid.hpp"
#include "core/run/job_memory.hpp"
#include "core/run/quantize_job.hpp"
#include "core/run/weight_reader.hpp"

namespace halftone {
namespace {

constexpr uint64_t staging_bytes = 8u << 20;

class DeviceJob {
  public:
    DeviceJob(const Plan& plan, const PlannedTensor& planned, uint64_t expert, const Output& output,
              DeviceLane& lane)
        : plan_(plan),
          planned_(planned),
          expert_(expert),
          format_(*planned.plan),
          output_(output),
          lane_(lane),
          stream_(lane.stream),
          rows_(format_.source().rows),
          cols_(format_.source().cols),
          whole_{0, 0, rows_, cols_} {}

    void run() {
        const ht_facts& facts = format_.facts();
        lane_.values.grow(lane_.device, rows_ * cols_ * sizeof(float));
        lane_.codes.grow(lane_.device, format_.weight_bytes());
        // What a kernel leaves out must not be what lay there before.
        stream_.fill(lane_.codes.data(), 0, format_.weight_bytes());
        DeviceGrid grid(lane_.device, format_);
        Grid here = format_.make_grid();
        const ht_view values{lane_.values.as<float>(), static_cast<int64_t>(cols_), 1};
        const bool rotates = facts.flags & HT_FACT_ROTATES, rotates_there = rotates && grid.has("rotate");
        read(rotates && !rotates_there);
        if (rotates_there) {
            grid.upload(stream_, here);
            grid.rotate(stream_, false, whole_, values);
            if (const uint64_t infinite = widen(HT_DTYPE_F32, lane_.values.data()); infinite > 0)
                refuse_to_rotate(name_of_matrix(plan_, planned_, expert_), infinite);
        }
        for (uint32_t pass = 0; pass < facts.passes; ++pass)
            fit_globally(pass, grid, here, values);
        grid.upload(stream_, here);
        if (format_.fits_bands()) {
            grid.fit_band(stream_, whole_, values);
            if (facts.flags & HT_FACT_ENCODE_BEFORE_SEAL)
                grid.encode(stream_, whole_, values, lane_.codes.data());
            grid.download(stream_, here);
        } else if (facts.flags & HT_FACT_ENCODE_BEFORE_SEAL) {
            grid.encode(stream_, whole_, values, lane_.codes.data());
        }
        format_.fit_seal(here);
        if (!(facts.flags & HT_FACT_ENCODE_BEFORE_SEAL)) {
            grid.upload(stream_, here);
            grid.encode(stream_, whole_, values, lane_.codes.data());
        }
        write();
        write_companions(planned_, expert_, here, output_);
    }

  private:
    const Tensor& source() const { return plan_.checkpoint->tensors()[planned_.source]; }

    // As float32, in the grid's basis if they are to be rotated here.
    void read(bool rotate) {
        const ht_dtype dtype = source().dtype;
        const bool widened_there = !planned_.stored && !rotate &&
                                   (dtype == HT_DTYPE_BF16 || dtype == HT_DTYPE_F16 || dtype == HT_DTYPE_F32);
        const uint64_t nonfinite = widened_there ? read_and_widen_there() : read_and_widen_here(rotate);
        if (nonfinite > 0) refuse_nonfinite(name_of_matrix(plan_, planned_, expert_), nonfinite);
    }

    // Calls fill(first, n, memory) for pieces of whole elements, and copies what it makes to the device.
    template <class Fill>
    void staged(uint64_t elements, uint64_t element, std::byte* to, const Fill& fill) {
        for (DeviceBuffer& one : lane_.staging)
            one.grow(lane_.device, std::max(staging_bytes, cols_ * element), DeviceBuffer::Place::pinned);
        const uint64_t piece = std::max(staging_bytes / element / cols_, uint64_t{1}) * cols_;
        for (uint64_t first = 0, i = 0; first < elements; first += piece, ++i) {
            const uint64_t n = std::min(piece, elements - first);
            const DeviceBuffer& staging = lane_.staging[i % 2];
            fill(first, n, staging.data());
            if (i > 0) stream_.wait();  // the copy of the piece before, from the other buffer
            stream_.copy(to + first * element, staging.data(), n * element);
        }
    }

    uint64_t read_and_widen_there() {
        const uint64_t element = dtype::bits(source().dtype) / 8, elements = rows_ * cols_;
        lane_.source.grow(lane_.device, elements * element);
        staged(elements, element, lane_.source.data(), [&](uint64_t first, uint64_t n, std::byte* memory) {
            plan_.checkpoint->read(source(), (expert_ * elements + first) * element, {memory, n * element});
        });
        return widen(source().dtype, lane_.source.data());
    }

    // Returns how many values are NaN or infinite.
    uint64_t widen(ht_dtype dtype, const std::byte* from) {
        const uint64_t elements = rows_ * cols_;
        lane_.partials.grow(lane_.device, sizeof(uint64_t));
        stream_.fill(lane_.partials.data(), 0, sizeof(uint64_t));
        const ht_widen_args args{
            sizeof(ht_widen_args),        dtype, elements, from, lane_.values.as<float>(),
            lane_.partials.as<uint64_t>()};
        stream_.launch(lane_.device->common(), "widen", blocks_for(*lane_.device, elements), args);
        uint64_t nonfinite = 0;
        stream_.copy(&nonfinite, lane_.partials.data(), sizeof nonfinite);
        stream_.wait();
        return nonfinite;
    }

    uint64_t read_and_widen_here(bool rotate) {
        const std::unique_ptr<WeightReader> reader = open_reader(plan_, planned_, expert_);
        uint64_t nonfinite = 0, infinite = 0;
        Scratch scratch;
        staged(rows_ * cols_, sizeof(float), lane_.values.data(),
               [&](uint64_t first, uint64_t n, std::byte* memory) {
                   const ht_region region{first / cols_, 0, n / cols_, cols_};
                   const WidenedBand band = reader->read(region, scratch);
                   nonfinite += band.nonfinite;
                   if (rotate && band.nonfinite == 0)
                       infinite += rotate_forward(format_, band.view, region.rows);
                   for (uint64_t i = 0; i < region.rows; ++i)
                       std::memcpy(memory + i * cols_ * sizeof(float),
                                   band.view.at + static_cast<int64_t>(i) * band.view.row_stride,
                                   cols_ * sizeof(float));
               });
        stream_.wait();
        if (nonfinite == 0 && infinite > 0)
            refuse_to_rotate(name_of_matrix(plan_, planned_, expert_), infinite);
        return nonfinite;
    }

    void fit_globally(uint32_t pass, DeviceGrid& grid, Grid& here, const ht_view& values) {
        const ht_facts& facts = format_.facts();
        const uint64_t granules = rows_ / facts.granule_rows + (rows_ % facts.granule_rows != 0);
        AlignedBytes partials(granules * facts.partial_bytes);
        lane_.partials.grow(lane_.device, std::max<uint64_t>(partials.size(), sizeof(uint64_t)));
        stream_.fill(lane_.partials.data(), 0, partials.size());
        grid.upload(stream_, here);
        grid.fit_pass(stream_, pass, whole_, values, lane_.partials.data());
        stream_.copy(partials.data(), lane_.partials.data(), partials.size());
        stream_.wait();
        format_.fit_fold(pass, partials.bytes(), granules, here);
    }

    void write() {
        const uint64_t total = format_.weight_bytes();
        for (DeviceBuffer& one : lane_.staging)
            one.grow(lane_.device, staging_bytes, DeviceBuffer::Place::pinned);
        const auto copy = [&](uint64_t i) {
            const uint64_t from = i * staging_bytes;
            if (from < total)
                stream_.copy(lane_.staging[i % 2].data(), lane_.codes.data() + from,
                             std::min(staging_bytes, total - from));
        };
        copy(0);
        for (uint64_t i = 0; i * staging_bytes < total; ++i) {
            stream_.wait();
            copy(i + 1);
            const uint64_t from = i * staging_bytes;
            write_codes(planned_, expert_, from,
                        {lane_.staging[i % 2].data(), std::min(staging_bytes, total - from)}, output_);
        }
        stream_.wait();
    }

    const Plan& plan_;
    const PlannedTensor& planned_;
    const uint64_t expert_;
    const FormatPlan& format_;
    const Output& output_;
    DeviceLane& lane_;
    DeviceStream& stream_;
    const uint64_t rows_, cols_;
    const ht_region whole_;
};

// Of what rounding to nearest calls.
std::string missing_kernel(const FormatPlan& format) {
    const auto lacks = [&](const char* function) {
        return format.kernels(function)
                   ? std::string()
                   : fmt::format("{} has no kernel for {}() with these options", format.plugin(), function);
    };
    std::string missing = lacks("encode");
    if (missing.empty() && format.facts().passes > 0) missing = lacks("fit_pass");
    if (missing.empty() && format.fits_bands()) missing = lacks("fit_band");
    return missing;
}

std::string try_on_device(const Plan& plan, const PlannedTensor& planned, uint64_t expert,
                          const Output& output, DeviceLanes& lanes, Progress& progress) {
    if (std::string missing = missing_kernel(*planned.plan); !missing.empty()) return missing;
    if (lanes.device()->lost()) return "the device is lost";
    const auto work = [&] {
        const DeviceLanes::Handle lane = lanes.take();
        DeviceJob(plan, planned, expert, output, *lane).run();
        progress.work_done += plan.checkpoint->tensors()[planned.source].bytes * passes_over(*planned.plan) /
                              planned.plan->source().experts;
        return std::string();
    };
    try {
        return work();
    } catch (const DeviceFailure& failure) {
        if (failure.kind() != DeviceFailure::Kind::out_of_memory) return failure.what();
    }
    lanes.clear();  // what idle lanes hold may be what is missing
    try {
        return work();
    } catch (const DeviceFailure& failure) {
        return failure.what();
    }
}

}  // namespace

JobMemory memory_to_quantize_on_device(const Plan& plan, const PlannedTensor& planned) {
    const FormatPlan& format = *planned.plan;
    const ht_facts& facts = format.facts();
    const uint64_t rows = format.source().rows, cols = format.source().cols;
    const uint64_t granules = rows / facts.granule_rows + (rows % facts.granule_rows != 0);
    const ReaderFacts source = reader_of_one(plan, planned);
    const uint64_t row_bytes = cols * sizeof(float);
    const uint64_t staged_rows = std::max<uint64_t>(staging_bytes / std::max<uint64_t>(row_bytes, 1), 1);
    uint64_t largest_companion = 0;
    for (const StoredTensor& stored : format.stored())
        if (stored.role != HT_ROLE_WEIGHT) largest_companion = std::max(largest_companion, stored.bytes);
    const uint64_t partials = facts.passes > 0 ? granules * facts.partial_bytes : 0;
    return {source.held + facts.grid_bytes + std::max(partials, 2 * largest_companion) +
                2 * std::max(staging_bytes, row_bytes) +
                source.scratch_bytes(std::min(staged_rows, rows), cols),
            0};
}

std::string quantize_on_device(const Plan& plan, const PlannedTensor& planned, uint64_t expert,
                               const Output& output, DeviceLanes& lanes, Progress& progress) {
    try {
        return try_on_device(plan, planned, expert, output, lanes, progress);
    } catch (...) {
        blame_plugin(name_of_matrix(plan, planned, expert));
    }
}

}  // namespace halftone
