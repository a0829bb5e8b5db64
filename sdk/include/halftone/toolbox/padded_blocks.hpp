// A format that cuts rows into blocks, stores a one-byte scale for each in the tiled layout of tensor cores
// (blocked_scales.hpp), and pads rows and columns with zeros to multiples of the block: most of ht_format,
// written once. There may be a float32 scale of the whole matrix on top. Markers keep the shape before
// padding.
//
// The scalar format's part is to round by blocks, once their steps are known; scales and padding are here.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/toolbox/block_kernels.hpp>
#include <halftone/toolbox/blocked_scales.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class PaddedBlocks : public ScalarFormat {
  public:
    // What one format of this kind is.
    struct Kind {
        const char* name;  // and its label
        uint64_t block;
        Scaling scaling;
        Packing packing;
        uint8_t most_scale;
        ht_dtype weight, scale;  // as written
        int32_t input_scale;
        float (*scale_of_all)(float amax) = nullptr;  // > 0, also of 0; stored as .weight_scale_2
        float most_scale_of_all = 1;
    };

    static constexpr ht_option options[] = {
        scale_option,
        flag("pad", "true", "pad rows and columns to whole blocks with zeros; false: refuse what needs it"),
    };

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        facts.granule_bytes = row_bytes();
        facts.grid_bytes += sizeof(BlockScales) + groups().count();
        facts.passes = kind_.scale_of_all ? 1 : 0;
        facts.partial_bytes = kind_.scale_of_all ? sizeof(float) : 0;
        facts.flags |= HT_FACT_FOLDS_IN_PARTS;
        facts.piece_cols = facts.piece_bytes = 0;  // the last row brings padding along
        return facts;
    }

    void describe(JsonSink sink) const {
        const auto block = static_cast<int64_t>(kind_.block);
        sink.text("format", kind_.name).whole("group_size", block);
        for (const DtypeName& one : dtype_names)
            if (one.dtype == source_.dtype) sink.text("orig_dtype", one.name);
        const int64_t shape[] = {static_cast<int64_t>(source_.rows), static_cast<int64_t>(source_.cols)};
        sink.wholes("orig_shape", shape);
        sink.begin("params").whole("group_size", block).end();
        write_full_precision(sink, source_.wants);
    }

    void begin(std::byte* grid) const {
        ScalarFormat::begin(grid);
        scales_in(grid) = {1, search_};
    }

    void fit_pass(uint32_t, const Band& in, const float*, const std::byte*, void* partials) const {
        auto* const amax = static_cast<float*>(partials);
        each_run(in, [&](uint64_t i, uint64_t, const float* x, uint64_t n, uint64_t) {
            amax[i] = std::max(amax[i], kernels_.scalar.largest(x, n));
        });
    }

    void fit_fold(uint32_t, const void* partials, uint64_t n, std::byte* grid) const {
        float& amax = largest_of_all(grid);
        amax = std::max(amax, kernels_.scalar.largest(static_cast<const float*>(partials), n));
        scales_in(grid).of_all = kind_.scale_of_all(amax);
    }

    void fit_band(const Band& in, const float* column_weight, std::byte* grid) const {
        const Fitted to = at(grid);
        BlockScales& scales = scales_in(grid);
        each_run(in, [&](uint64_t, uint64_t j, const float* x, uint64_t n, uint64_t g) {
            kernels_.fit(x, n, scales.of_all, search_, column_weight ? column_weight + j : nullptr,
                         scales.of_block() + g, to.pre + g, to.post + g);
        });
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        if (!companions[1]) throw Refused("there is no .weight_scale");
        BlockScales& scales = scales_in(grid);
        if (kind_.scale_of_all) {
            if (!companions[2]) throw Refused("there is no .weight_scale_2");
            std::memcpy(&scales.of_all, companions[2], sizeof(float));
            if (!(scales.of_all >= 0) || scales.of_all > kind_.most_scale_of_all)
                throw Refused(".weight_scale_2 is " + std::to_string(scales.of_all) + ", which is no scale");
        }
        const uint64_t n = groups().count();
        tiled_.read(companions[1], scales.of_block());
        // Others store NaN for every block of a matrix of zeros.
        if (scales.of_all == 0) std::memset(scales.of_block(), 0, n);
        for (uint64_t g = 0; g < n; ++g)
            if (scales.of_block()[g] > kind_.most_scale)
                throw Refused("the scale of block " + std::to_string(g % tiled_.cols) + " of row " +
                              std::to_string(g / tiled_.cols) + " in .weight_scale is negative or NaN");
        kernels_.steps(scales.of_block(), n, scales.of_all, at(grid).pre, at(grid).post);
    }

    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
        const float* const pre = at(grid).pre;
        each_run(in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, uint64_t g) {
            kernels_.encode(x, n, pre + g, bytes + i * row_bytes() + in_bytes(j));
        });
        if (in.region.row + in.region.rows == source_.rows)
            std::memset(bytes + in.region.rows * row_bytes(), 0,
                        (up(source_.rows, kind_.block) - source_.rows) * row_bytes());
    }

    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        const float* const post = at(grid).post;
        each_strip(out, [&](uint64_t i, uint64_t j, uint64_t n) {
            const uint64_t g = groups().at(out.region.row + i, j);
            write_strip(out, i, j, n, [&](float* values) {
                kernels_.decode(bytes + i * row_bytes() + in_bytes(j), n, post + g, values);
            });
        });
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        BlockScales& scales = scales_in(grid);
        if (i == 2) return void(std::memcpy(out, &scales.of_all, sizeof(float)));
        tiled_.write(scales.of_block(), out);
    }

  protected:
    PaddedBlocks(const Kind& kind, const BlockKernels& kernels, const ScalarLevels& levels,
                 const ht_source& source, const Options& options)
        : ScalarFormat(parts(kind, kernels, levels, source)),
          kind_(kind),
          source_(source),
          tiled_(tiled(kind, source.rows, source.cols)),
          search_(options.choice_as<ScaleFit>("scale") == ScaleFit::mse),
          kernels_(kernels) {
        refuse_unless_it_fits(options.flag("pad"));
    }

    // recognize() of a format, under one of its labels.
    static void recognize_blocks(const Kind& kind, std::initializer_list<std::string_view> labels,
                                 const ht_layer& found, ht_source& source) {
        const StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        const bool bytes_either_way = weight && kind.weight == HT_DTYPE_U8 && is_byte(*weight);
        if (!weight || weight->rank != 2 || (weight->dtype != kind.weight && !bytes_either_way))
            throw Refused(std::string("its weight is no matrix of ") +
                          (kind.weight == HT_DTYPE_U8 ? "U8" : "F8_E4M3"));
        if (!layer.marker())
            throw Refused("it has no marker, and other tools store such blocks in another way");
        const auto& marker = *layer.marker();
        if (std::ranges::find(labels, marker.text("format").value_or("")) == labels.end())
            throw Refused(std::string("its marker does not say '") + kind.name + "'");
        const auto block = static_cast<int64_t>(kind.block);
        if (layer.number("group_size").value_or(block) != block)
            throw Refused("its blocks have " + std::to_string(*layer.number("group_size")) +
                          " elements, not " + std::to_string(block));

        source.dtype = HT_DTYPE_BF16;
        for (const DtypeName& one : dtype_names)
            if (marker.text("orig_dtype") == one.name) source.dtype = one.dtype;
        uint64_t rows = weight->shape[0], cols = weight->shape[1] * (kind.packing == Packing::bytes ? 1 : 2);
        if (rows % kind.block != 0 || cols % kind.block != 0)
            throw Refused("its weight " + shape_text(*weight) + " is not padded to multiples of " +
                          std::to_string(block));
        check_scales(kind, layer, tiled(kind, rows, cols));
        if (const auto shape = marker.wholes("orig_shape")) {
            const bool fits = shape->size() == 2 && shape->at(0) > 0 && shape->at(1) > 0 &&
                              up(static_cast<uint64_t>(shape->at(0)), kind.block) == rows &&
                              up(static_cast<uint64_t>(shape->at(1)), kind.block) == cols;
            if (!fits) throw Refused("its orig_shape does not become " + shape_text(*weight) + " by padding");
            rows = static_cast<uint64_t>(shape->at(0));
            cols = static_cast<uint64_t>(shape->at(1));
        }
        source.dialect = HT_DIALECT_COMFY;
        source.wants = layer.wants_full_precision();
        set_matrix(source, rows, cols);
    }

  private:
    // As PyTorch names the types that it can load weights in.
    struct DtypeName {
        ht_dtype dtype;
        const char* name;
    };
    static constexpr DtypeName dtype_names[] = {{HT_DTYPE_BF16, "torch.bfloat16"},
                                                {HT_DTYPE_F16, "torch.float16"},
                                                {HT_DTYPE_F32, "torch.float32"},
                                                {HT_DTYPE_F64, "torch.float64"}};

    static constexpr uint64_t up(uint64_t n, uint64_t to) { return n / to * to + (n % to ? to : 0); }

    // The padding of rows has no scales, beside that to whole tiles.
    static BlockedScales tiled(const Kind& kind, uint64_t rows, uint64_t cols) {
        return {rows, up(cols, kind.block) / kind.block};
    }

    static Parts parts(const Kind& kind, const BlockKernels& kernels, const ScalarLevels& levels,
                       const ht_source& source) {
        const uint64_t rows = up(source.rows, kind.block), cols = up(source.cols, kind.block);
        const BlockedScales scales = tiled(kind, source.rows, source.cols);
        Parts parts{
            kernels.scalar,
            levels,
            ScaleGroups::tile(source.rows, source.cols, 1, kind.block),
            nullptr,
            {{HT_ROLE_WEIGHT,
              ".weight",
              kind.weight,
              {rows, kind.packing == Packing::bytes ? cols : cols / 2}},
             {HT_ROLE_SCALE, ".weight_scale", kind.scale, {scales.padded_rows(), scales.padded_cols()}}}};
        if (kind.scale_of_all) parts.stored.push_back({HT_ROLE_SCALE_2, ".weight_scale_2", HT_DTYPE_F32, {}});
        parts.scaling = kind.scaling;
        parts.packing = kind.packing;
        parts.input_scale = kind.input_scale;
        parts.padded = true;
        parts.zeros_have_scales_of_one = false;
        return parts;
    }

    void refuse_unless_it_fits(bool pad) const {
        const uint64_t rows = source_.rows, cols = source_.cols;
        demand_matrix(source_, kind_.name, Stacks::taken);
        if (source_.dialect != HT_DIALECT_COMFY)
            throw Refused(std::string(kind_.name) + " has no other layout than ComfyUI's");
        if (source_.wants & HT_WANTS_COLUMNS && packed())
            throw Refused("loaders tell the model by its number of columns, which two codes in a byte halve");
        const auto demand = [&](uint32_t wanted, uint64_t n, const char* what) {
            if (source_.wants & wanted && n % kind_.block != 0)
                throw Refused(std::string("loaders tell the model by its number of ") + what + ", and " +
                              std::to_string(n) + " would be padded to " +
                              std::to_string(up(n, kind_.block)));
        };
        demand(HT_WANTS_ROWS, rows, "rows");
        demand(HT_WANTS_COLUMNS, cols, "columns");
        if ((rows % kind_.block != 0 || cols % kind_.block != 0) && !pad)
            throw Refused("needs rows and columns in multiples of " + std::to_string(kind_.block) + ", not " +
                          std::to_string(rows) + " x " + std::to_string(cols) +
                          ", and pad = false forbids padding");
    }

    static std::string shape_text(const ht_tensor& tensor) { return to_string(shape_of(tensor)); }

    static void check_scales(const Kind& kind, const StoredLayer& layer, const BlockedScales& expected) {
        const ht_tensor* const scales = layer.tensor(".weight_scale");
        if (!scales) throw Refused("it has no .weight_scale");
        // Loaders view the bytes, in whatever type and shape they come.
        if (bytes(*scales) != expected.bytes())
            throw Refused("its .weight_scale has shape " + shape_text(*scales) + ", and " +
                          std::to_string(bytes(*scales)) + " bytes, not the " +
                          std::to_string(expected.bytes()) + " of whole tiles, " +
                          to_string({expected.padded_rows(), expected.padded_cols()}));
        if (!kind.scale_of_all) return;
        const ht_tensor* const outer = layer.tensor(".weight_scale_2");
        if (!outer) throw Refused("it has no .weight_scale_2");
        if (!is_float(*outer) || outer->rank > 1 || count(*outer) != 1)
            throw Refused("its .weight_scale_2 is not one number in floating point");
    }

    // Nobody writes through this once the grid is constant.
    BlockScales& scales_in(const std::byte* grid) const {
        return *reinterpret_cast<BlockScales*>(const_cast<std::byte*>(grid) + offset(5));
    }

    uint64_t in_bytes(uint64_t elements) const { return packed() ? elements / 2 : elements; }
    uint64_t row_bytes() const { return in_bytes(tiled_.cols * kind_.block); }

    // Runs of whole blocks of a band, which has whole rows: work(i, j, x, n, first block).
    template <class Work>
    void each_run(const Band& in, const Work& work) const {
        each_strip(in, [&](uint64_t i, uint64_t j, uint64_t n) {
            read_strip(in, i, j, n,
                       [&](const float* x) { work(i, j, x, n, groups().at(in.region.row + i, j)); });
        });
    }

    const Kind& kind_;
    const ht_source source_;
    const BlockedScales tiled_;
    const bool search_;
    const BlockKernels& kernels_;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
