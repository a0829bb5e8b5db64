// acme.thirds: a format of three levels. A weight becomes -1, 0 or +1 times the scale of its row, which is
// the mean magnitude of the row. Nothing loads this; it is here to be copied.
//
// On disk, for a matrix of M x N:   .weight  I8 [M, N]  the codes      .weight_scale  F32 [M]  the scales
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace {

using halftone::Band, halftone::Refused;

class Thirds {
  public:
    static constexpr halftone::PluginInfo info{"acme.thirds", "1.0.0", "three levels and a scale per row",
                                               "MIT"};
    // What describe() writes is what recognize() looks for: one constant, so that they cannot differ.
    static constexpr const char* label = "acme.thirds";

    // Every row becomes a key in the pipeline, a line of `halftone plugins info` and a check; nothing is
    // parsed here.
    static constexpr ht_option options[] = {
        halftone::real("dead_zone", "0.5", 0.1, 0.9, "share of the scale below which a weight becomes 0")};
    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label, "", "", "none", "", "a toy: no loader reads it"}};

    // A plan: what follows from shape and options alone. Say no with a reason that names what was seen.
    Thirds(const ht_source& source, const halftone::Options& options)
        : rows_(source.rows),
          cols_(source.cols),
          full_precision_((source.wants & HT_WANTS_FULL_PRECISION_MM) != 0),
          dead_zone_(static_cast<float>(options.real("dead_zone"))) {
        // A stack of experts has three dimensions. Nothing loads such stacks of ours.
        if (source.rank != 2)
            throw Refused("has " + std::to_string(source.rank) + " dimensions; needs a matrix");
        // Other layouts store no marker that recognize() could find.
        if (source.dialect != HT_DIALECT_COMFY) throw Refused("has one layout only, ComfyUI's");
        // HT_WANTS_ROWS and HT_WANTS_COLUMNS are kept: with a byte for each code .weight has the shape of the
        // matrix. A format that packs its codes says here: if (source.wants & HT_WANTS_COLUMNS)
        // throw Refused("loaders read its columns, and its codes are packed").
    }

    // The files' side of the plan. The host computes every offset from this before it reads a weight.
    halftone::Facts facts() const {
        halftone::Facts facts;
        facts.stored = {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {rows_, cols_}},
                        {HT_ROLE_SCALE, ".weight_scale", HT_DTYPE_F32, {rows_}}};
        facts.granule_rows = 1;  // rows do not depend on each other, so a band may be any number of rows
        facts.granule_bytes = cols_;
        facts.grid_bytes = sizeof(Levels) + 2 * rows_ * sizeof(float);  // scales and where a row is cut
        facts.scale_kind = HT_SCALE_ROW;
        facts.input_scale = HT_INPUT_SCALE_NEVER;
        return facts;
    }
    void describe(halftone::JsonSink sink) const {
        sink.text("format", label);
        halftone::toolbox::write_full_precision(sink, full_precision_ ? HT_WANTS_FULL_PRECISION_MM : 0);
    }

    // Is this stored layer one of ours? Then say what it was made from.
    static void recognize(const ht_layer& found, halftone::OptionsOut&, ht_source& source) {
        const halftone::toolbox::StoredLayer layer(found);
        const ht_tensor *weight = layer.tensor(".weight"), *scale = layer.tensor(".weight_scale");
        if (!layer.marker() || layer.marker()->text("format") != label)
            throw Refused("it is not marked as acme.thirds");
        if (!weight || weight->rank != 2 || weight->dtype != HT_DTYPE_I8)
            throw Refused("its .weight is no matrix of I8");
        if (!scale || scale->rank != 1 || scale->dtype != HT_DTYPE_F32 || scale->shape[0] != weight->shape[0])
            throw Refused("its .weight_scale is not one F32 for each row");
        source.wants = layer.wants_full_precision();
        source.dtype = HT_DTYPE_F32;
        source.dialect = HT_DIALECT_COMFY;
        source.rank = 2;
        source.experts = 1;
        source.shape[0] = source.rows = weight->shape[0];
        source.shape[1] = source.cols = weight->shape[1];
    }

    // The grid arrives zeroed; the levels are the same for every matrix.
    void begin(std::byte* grid) const {
        const float below_1 = std::nextafter(-1.0f, -2.0f), infinity = std::numeric_limits<float>::infinity();
        *reinterpret_cast<Levels*>(grid) = {{-1, 0, 1}, {below_1, 1, infinity}};
    }

    // Called for many bands at once, on many threads: each writes its own rows' part of the grid and nothing
    // else. column_weight, if there is one, says how much each column matters.
    void fit_band(const Band& band, const float* column_weight, std::byte* grid) const {
        for (uint64_t i = 0; i < band.region.rows; ++i) {
            double sum = 0, count = 0;
            for (uint64_t j = 0; j < cols_; ++j) {
                const double weight = column_weight ? column_weight[j] : 1;
                sum += weight * std::abs(band.at(i, j));
                count += weight;
            }
            set_scale(grid, band.region.row + i, count > 0 ? static_cast<float>(sum / count) : 0);
        }
    }
    // The other way to a grid: from what a file holds, in the order of facts().stored.
    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        if (!companions[1]) throw Refused("its .weight_scale is missing");
        std::vector<float> scales(rows_);
        std::memcpy(scales.data(), companions[1], rows_ * sizeof(float));
        // The file may hold anything.
        for (uint64_t i = 0; i < rows_; ++i)
            if (!std::isfinite(scales[i]) || scales[i] < 0)
                throw Refused("the scale of row " + std::to_string(i) + " is no finite number >= 0");
        for (uint64_t i = 0; i < rows_; ++i)
            set_scale(grid, i, scales[i]);
    }

    void encode(const std::byte* grid, const Band& band, uint8_t* bytes) const {
        for (uint64_t i = 0; i < band.region.rows; ++i)
            for (uint64_t j = 0; j < cols_; ++j)
                *bytes++ = static_cast<uint8_t>(code(band.at(i, j), scale_of(grid, band, i)));
    }
    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        for (uint64_t i = 0; i < out.region.rows; ++i)
            for (uint64_t j = 0; j < cols_; ++j)
                out.at(i, j) = static_cast<float>(static_cast<int8_t>(*bytes++)) * scale_of(grid, out, i);
    }
    void companion(const std::byte* grid, uint32_t, uint8_t* out) const {
        std::memcpy(out, scales(grid), rows_ * sizeof(float));
    }

    // For optimizers, on any rectangle: the grid's value for x (as decode(encode()) gives it, bit for bit),
    // how far a step of the code moves it, and its neighbours on the grid.
    void snap(const std::byte* grid, const Band& in, const Band& out) const {
        each(in, [&](uint64_t i, uint64_t j) {
            const float scale = scale_of(grid, in, i);
            out.at(i, j) = static_cast<float>(code(in.at(i, j), scale)) * scale;
        });
    }
    void sigma(const std::byte* grid, const Band& out) const {
        each(out, [&](uint64_t i, uint64_t j) {
            const float scale = scale_of(grid, out, i);
            out.at(i, j) = scale > 0 ? scale : 1;
        });
    }
    void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const {
        each(in, [&](uint64_t i, uint64_t j) {
            const float x = in.at(i, j), scale = scale_of(grid, in, i);
            lo.at(i, j) = x >= scale ? scale : x >= 0 ? 0 : -scale;
            hi.at(i, j) = x <= -scale ? -scale : x <= 0 ? 0 : scale;
        });
    }

    // Optional: the same rounding as numbers, so that a device can do it without a kernel of ours. Divided by
    // what a row is cut at, a weight goes to 0 from -1 to 1.
    ht_table table(const std::byte* grid) const {
        const Levels& levels = *reinterpret_cast<const Levels*>(grid);
        return {sizeof(ht_table), 3,      1, /*divide*/ 1, levels.level, levels.upper, scales(grid) + rows_,
                scales(grid),     nullptr};
    }

  private:
    // The front of the grid; scales follow, and then what the rows are cut at.
    struct Levels {
        float level[3], upper[3];
    };
    static const float* scales(const std::byte* grid) {
        return reinterpret_cast<const float*>(grid + sizeof(Levels));
    }
    void set_scale(std::byte* grid, uint64_t row, float scale) const {
        auto* const scales = reinterpret_cast<float*>(grid + sizeof(Levels));
        scales[row] = scale;
        scales[rows_ + row] = dead_zone_ * scale;
    }
    static float scale_of(const std::byte* grid, const Band& band, uint64_t i) {
        return scales(grid)[band.region.row + i];
    }
    int code(float x, float scale) const { return std::abs(x) > dead_zone_ * scale ? (x > 0 ? 1 : -1) : 0; }
    template <class Work>
    static void each(const Band& band, Work work) {
        for (uint64_t i = 0; i < band.region.rows; ++i)
            for (uint64_t j = 0; j < band.region.cols; ++j)
                work(i, j);
    }

    uint64_t rows_, cols_;
    bool full_precision_;
    float dead_zone_;
};

}  // namespace

HALFTONE_FORMAT(Thirds)
