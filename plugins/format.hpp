#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <halftone/ext/draft/activations.h>
#include <halftone/ext/draft/kernels.h>
#include <halftone/format.h>

#include "core/base/aligned.hpp"
#include "core/base/json.hpp"
#include "plugins/library.hpp"
#include "plugins/options.hpp"
#include "plugins/watch.hpp"

namespace halftone {

// What is asked of a format for one matrix. With experts, the tensor is a stack of so many: the format plans
// one of them, and all are stored alike, in stacks of what it stores.
struct MatrixSource {
    ht_dtype dtype = 0;
    ht_dialect dialect = HT_DIALECT_COMFY;
    uint32_t wants = 0;
    std::vector<uint64_t> shape;
    uint64_t experts = 1, rows = 0, cols = 0;
};

struct StoredTensor {
    ht_role role;
    bool whole_file;  // `name` is a whole key
    ht_dtype dtype;
    std::vector<uint64_t> shape;
    uint64_t bytes;
    std::string name;
};

// Scales, codebooks: see format.h. 64-byte aligned, zeroed when made. May be longer than grid_bytes: where
// plugins are watched, guard bytes follow.
using Grid = AlignedBytes;

// A plan of a format for one matrix, checked when it is made: exactly one weight, sane granules, sizes that
// agree. All functions may be called by any thread; the grid's rules are those of format.h.
class FormatPlan {
  public:
    const ht_facts& facts() const { return facts_; }
    const std::vector<StoredTensor>& stored() const { return stored_; }
    size_t weight_index() const { return weight_; }
    const MatrixSource& source() const { return source_; }
    const std::string& plugin() const { return plugin_; }  // "format 'acme.int4'"
    const std::string& remark() const { return remark_; }  // facts().remark, fit to be shown; "" without
    Json description() const;                              // what describe() says, in its order

    Grid make_grid() const;  // zeroed, begun
    void rotate(bool back, const ht_view&, uint64_t rows) const;
    // `partials`: the slots of the region's granules, zeroed.
    void fit_pass(uint32_t pass, const ht_region&, const ht_view&, const float* weight, const Grid&,
                  std::byte* partials) const;
    void fit_fold(uint32_t pass, std::span<const std::byte> partials, uint64_t n, Grid&) const;
    bool fits_bands() const { return table_.fit_band != nullptr; }  // false: fit_band does nothing
    void fit_band(const ht_region&, const ht_view&, const float* weight, Grid&) const;
    void fit_seal(Grid&) const;
    void load(std::span<const uint8_t* const> companions, Grid&) const;
    // `band`: the bytes that format.h says the region makes, or these between guard_size more on
    // either side, to watch what lies around them.
    void encode(const Grid&, const ht_region&, const ht_view&, std::span<std::byte> band) const;
    void decode(const Grid&, const ht_region&, std::span<const std::byte> band, const ht_view& out) const;
    std::vector<std::byte> companion(const Grid&, size_t index) const;
    void companion(const Grid&, size_t index, std::span<std::byte> out) const;  // of stored()[index].bytes
    void snap(const Grid&, const ht_region&, const ht_view& in, const ht_view& out) const;
    void sigma(const Grid&, const ht_region&, const ht_view& out) const;
    void around(const Grid&, const ht_region&, const ht_view& in, const ht_view& lo, const ht_view& hi) const;

    // The grid as a table of numbers, if the format has one; its pointers lie inside the grid.
    std::optional<ht_table> table(const Grid&) const;
    // Its kernels for devices, if one of that name does what this plan does.
    const ht_kernels* kernels(const char* name) const;

    // What loaders do to a batch of the layer's inputs, whole rows in the grid's basis, before they multiply;
    // nothing where they multiply in full precision.
    bool rounds_activations() const;
    void round_activations(std::optional<float> input_scale, const ht_view&, uint64_t rows) const;

    // Where a band lies in the stored weight. `row` starts a granule; `rows` ends at one or at the last row.
    uint64_t band_offset(uint64_t row) const;
    uint64_t band_bytes(uint64_t row, uint64_t rows) const;
    // The same for a region, which may be a part of a row (ht_facts.piece_cols).
    uint64_t band_offset(const ht_region&) const;
    uint64_t band_bytes(const ht_region&) const;
    uint64_t weight_bytes() const { return stored_[weight_].bytes; }

    ~FormatPlan();
    FormatPlan(const FormatPlan&) = delete;
    FormatPlan& operator=(const FormatPlan&) = delete;

  private:
    friend class Format;
    FormatPlan() = default;
    void check_grid(const Grid&, const char* function) const;
    void check_band(const ht_region&, size_t bytes) const;
    uint64_t bytes_of_pieces(uint64_t cols) const;
    const void* extension(const char* id) const;  // null without one

    std::shared_ptr<PluginLibrary> library_;
    ht_format table_{};
    void* plan_ = nullptr;
    ht_facts facts_{};
    std::string plugin_, remark_;
    MatrixSource source_;
    std::vector<StoredTensor> stored_;
    size_t weight_ = 0;
    Watch watch_ = default_watch;
};

// A layer of a checkpoint that may hold something quantized.
struct FoundLayer {
    struct Part {
        std::string name;  // whole
        ht_dtype dtype = 0;
        std::vector<uint64_t> shape;
        std::optional<std::vector<std::byte>> bytes;  // the contents, if there are at most 64 KiB of them
    };
    std::string name;                   // without suffix
    std::vector<Part> parts;            // with the markers for the whole file
    std::optional<std::string> marker;  // the layer's JSON configuration
};

// What prepare() needs to make the plan of a stored layer.
struct Recognized {
    MatrixSource source;
    OptionValues options;
};

// A format plugin.
class Format {
  public:
    // Checks the table's size and its functions.
    explicit Format(std::shared_ptr<PluginLibrary>, Watch = default_watch);

    const PluginLibrary& library() const { return *library_; }
    std::string id() const { return library_->file().id; }

    // Throws Refusal with the format's reason, or Error.
    std::shared_ptr<const FormatPlan> prepare(const MatrixSource&, const OptionValues&) const;

    // Throws Refusal with the format's reason: the layer is none of its own, or something is wrong with it.
    // What the format claims about the layer is checked for sense, but not against the sizes of its tensors.
    Recognized recognize(const FoundLayer&) const;

    struct Label {
        std::string label, options, loaders, activations, hardware, remark;
    };
    std::vector<Label> labels() const;

  private:
    std::shared_ptr<PluginLibrary> library_;
    ht_format table_{};
    Watch watch_;
};

}  // namespace halftone
