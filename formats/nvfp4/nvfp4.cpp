// NVFP4: e2m1 in blocks of 16 along a row, an e4m3 scale per block, a float32 scale for the whole.

#include <cfloat>
#include <cstring>
#include <string>
#include <vector>

#include <halftone/toolbox/blocked_scales.hpp>
#include <halftone/toolbox/float4.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "nvfp4_kernels.hpp"

namespace halftone::nvfp4 {

namespace {

constexpr uint64_t up(uint64_t n, uint64_t to) {
    return n / to * to + (n % to ? to : 0);
}

// As PyTorch names the types that it can load weights in.
struct DtypeName {
    ht_dtype dtype;
    const char* name;
};
constexpr DtypeName dtype_names[] = {{HT_DTYPE_BF16, "torch.bfloat16"},
                                     {HT_DTYPE_F16, "torch.float16"},
                                     {HT_DTYPE_F32, "torch.float32"},
                                     {HT_DTYPE_F64, "torch.float64"}};

toolbox::ScalarFit::Parts parts(const ht_source& source) {
    const auto& levels = toolbox::scalar_levels<toolbox::E2m1>();
    const auto groups = toolbox::ScaleGroups::tile(source.rows, source.cols, 1, block);
    const uint64_t rows = up(source.rows, 16), cols = up(source.cols, block);
    const toolbox::BlockedScales scales{source.rows, cols / block};
    toolbox::ScalarFit::Parts parts{kernels(cpu_level()).scalar, levels, groups, nullptr, {}};
    parts.stored = {
        {HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {rows, cols / 2}},
        {HT_ROLE_SCALE, ".weight_scale", HT_DTYPE_F8_E4M3, {scales.padded_rows(), scales.padded_cols()}},
        {HT_ROLE_SCALE_2, ".weight_scale_2", HT_DTYPE_F32, {}}};
    parts.scaling = toolbox::Scaling::divide;
    parts.packing = toolbox::Packing::high_nibble_first;
    parts.zeros_have_scales_of_one = false;
    return parts;
}

}  // namespace

// The scalar format's part is to round by blocks, once their steps are known; the two levels of scales, and
// the padding of what is stored, are here.
class Nvfp4 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"nvfp4", "1.0.0",
                                     "4-bit floating point in blocks of 16 with two levels of scales", "MIT"};

    static constexpr ht_option options[] = {
        toolbox::scale_option,
        flag("pad", "true", "pad matrices to multiples of 16 with zeros; false: refuse those that need it"),
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "nvfp4", "", "comfyui>=2026-01", "nvfp4, scaled by input_scale or per batch",
         "multiplied in 4 bits on Blackwell, dequantized elsewhere"},
    };

    Nvfp4(const ht_source& source, const Options& options)
        : ScalarFormat(parts(source)),
          source_(source),
          blocks_(up(source.cols, block) / block),
          stored_rows_(up(source.rows, 16)),
          scales_{source.rows, blocks_},
          search_(options.choice_as<toolbox::ScaleFit>("scale") == toolbox::ScaleFit::mse),
          kernels_(kernels(cpu_level())) {
        if (source.rank != 2 || source.experts != 1)
            throw Refused("nvfp4 takes plain matrices, and this has " + std::to_string(source.rank) +
                          " dimensions");
        if (source.rows == 0 || source.cols == 0) throw Refused("it has no elements");
        if (source.dialect != HT_DIALECT_COMFY) throw Refused("nvfp4 has no other layout than ComfyUI's");
        if (source.wants & HT_WANTS_COLUMNS)
            throw Refused("loaders tell the model by its number of columns, which two codes in a byte halve");
        const bool pads_rows = stored_rows_ != source.rows, pads = pads_rows || source.cols % block != 0;
        if (pads_rows && source.wants & HT_WANTS_ROWS)
            throw Refused("loaders tell the model by its number of rows, and " + std::to_string(source.rows) +
                          " would be padded to " + std::to_string(stored_rows_));
        if (pads && !options.flag("pad"))
            throw Refused("needs rows and columns in multiples of 16, not " + std::to_string(source.rows) +
                          " x " + std::to_string(source.cols) + ", and pad = false forbids padding");
    }

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        facts.granule_bytes = row_bytes();
        facts.grid_bytes += sizeof(float) + groups().count();
        facts.passes = 1;
        facts.partial_bytes = sizeof(float);
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", "nvfp4").whole("group_size", block);
        for (const DtypeName& one : dtype_names)
            if (one.dtype == source_.dtype) sink.text("orig_dtype", one.name);
        const int64_t shape[] = {static_cast<int64_t>(source_.rows), static_cast<int64_t>(source_.cols)};
        sink.wholes("orig_shape", shape);
        sink.begin("params").whole("group_size", block).end();
        if (source_.wants & HT_WANTS_FULL_PRECISION_MM) sink.flag("full_precision_matrix_mult", true);
    }

    static void recognize(const ht_layer& found, OptionsOut&, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->rank != 2 || weight->dtype != HT_DTYPE_U8)
            throw Refused("it has no U8 matrix as its weight");
        if (!layer.marker()) throw Refused("it has no marker, and other tools store e2m1 in another order");
        const auto& marker = *layer.marker();
        if (marker.text("format") != "nvfp4") throw Refused("its marker does not say 'nvfp4'");
        if (marker.whole("group_size").value_or(block) != block)
            throw Refused("its blocks have " + std::to_string(*marker.whole("group_size")) +
                          " elements, not 16");

        source.dtype = HT_DTYPE_BF16;
        for (const DtypeName& one : dtype_names)
            if (marker.text("orig_dtype") == one.name) source.dtype = one.dtype;
        source.rows = weight->shape[0];
        source.cols = weight->shape[1] * 2;
        if (const auto shape = marker.wholes("orig_shape")) {
            const bool fits = shape->size() == 2 && shape->at(0) > 0 && shape->at(1) > 0 &&
                              up(static_cast<uint64_t>(shape->at(0)), 16) == source.rows &&
                              up(static_cast<uint64_t>(shape->at(1)), block) == source.cols;
            if (!fits) throw Refused("its orig_shape does not become " + shape_text(*weight) + " by padding");
            source.rows = static_cast<uint64_t>(shape->at(0));
            source.cols = static_cast<uint64_t>(shape->at(1));
        }
        if (weight->shape[0] % 16 != 0 || weight->shape[1] % 8 != 0)
            throw Refused("its weight " + shape_text(*weight) + " is not padded to multiples of 16");
        check_scales(layer, {weight->shape[0], weight->shape[1] / 8});

        source.dialect = HT_DIALECT_COMFY;
        source.wants =
            marker.flag("full_precision_matrix_mult").value_or(false) ? HT_WANTS_FULL_PRECISION_MM : 0;
        source.rank = 2;
        source.shape[0] = source.rows;
        source.shape[1] = source.cols;
        source.experts = 1;
    }

    void fit_pass(uint32_t, const Band& in, const float*, const std::byte*, void* partials) const {
        auto* const amax = static_cast<float*>(partials);
        each_run(in, [&](uint64_t i, uint64_t, const float* x, uint64_t n, uint64_t) {
            amax[i] = std::max(amax[i], kernels_.scalar.largest(x, n));
        });
    }

    // Where the largest magnitude is 0, or so small that this scale would be, every block is one of zeros.
    void fit_fold(uint32_t, const void* partials, uint64_t n, std::byte* grid) const {
        const float scale = kernels_.scalar.largest(static_cast<const float*>(partials), n) / 2688;
        *scales_in(grid).of_all = scale > 0 ? scale : 1;
    }

    void fit_band(const Band& in, const float* column_weight, std::byte* grid) const {
        const Fitted to = at(grid);
        const Scales scales = scales_in(grid);
        each_run(in, [&](uint64_t, uint64_t j, const float* x, uint64_t n, uint64_t g) {
            kernels_.fit(x, n, *scales.of_all, search_, column_weight ? column_weight + j : nullptr,
                         scales.of_block + g, to.pre + g, to.post + g);
        });
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        if (!companions[1]) throw Refused("there is no .weight_scale");
        if (!companions[2]) throw Refused("there is no .weight_scale_2");
        const Scales scales = scales_in(grid);
        std::memcpy(scales.of_all, companions[2], sizeof(float));
        if (!(*scales.of_all >= 0) || *scales.of_all > FLT_MAX / 2688)
            throw Refused(".weight_scale_2 is " + std::to_string(*scales.of_all) + ", which is no scale");
        scales_.read(companions[1], scales.of_block);
        for (uint64_t g = 0; g < groups().count(); ++g)
            if (scales.of_block[g] > 0x7E)
                throw Refused("the scale of block " + std::to_string(g % blocks_) + " of row " +
                              std::to_string(g / blocks_) + " in .weight_scale is negative or NaN");
        kernels_.steps(scales.of_block, groups().count(), *scales.of_all, at(grid).pre, at(grid).post);
    }

    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
        const float* const pre = at(grid).pre;
        each_run(in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, uint64_t g) {
            kernels_.encode(x, n, pre + g, bytes + i * row_bytes() + j / 2);
        });
        if (in.region.row + in.region.rows == source_.rows)
            std::memset(bytes + in.region.rows * row_bytes(), 0, (stored_rows_ - source_.rows) * row_bytes());
    }

    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        const float* const post = at(grid).post;
        toolbox::each_strip(out, [&](uint64_t i, uint64_t j, uint64_t n) {
            const uint64_t g = groups().at(out.region.row + i, j);
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                kernels_.decode(bytes + i * row_bytes() + j / 2, n, post + g, values);
            });
        });
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        const Scales scales = scales_in(grid);
        if (i == 2) return void(std::memcpy(out, scales.of_all, sizeof(float)));
        scales_.write(scales.of_block, out);
    }

  private:
    static std::string shape_text(const ht_tensor& tensor) {
        return toolbox::to_string(toolbox::shape_of(tensor));
    }

    static void check_scales(const toolbox::StoredLayer& layer, const toolbox::BlockedScales& expected) {
        const ht_tensor* const scales = layer.tensor(".weight_scale");
        if (!scales) throw Refused("it has no .weight_scale");
        const ht_tensor* const outer = layer.tensor(".weight_scale_2");
        if (!outer) throw Refused("it has no .weight_scale_2");
        if (scales->dtype != HT_DTYPE_F8_E4M3 && scales->dtype != HT_DTYPE_U8)
            throw Refused("its .weight_scale is not stored as F8_E4M3");
        const std::vector<uint64_t> shape = {expected.padded_rows(), expected.padded_cols()};
        if (toolbox::shape_of(*scales) != shape)
            throw Refused("its .weight_scale has shape " + shape_text(*scales) + ", not " +
                          toolbox::to_string(shape) + " of whole tiles");
        if (outer->dtype != HT_DTYPE_F32 || outer->rank > 1 || (outer->rank == 1 && outer->shape[0] != 1))
            throw Refused("its .weight_scale_2 is not one F32 number");
    }

    // After the scalar format's grid. Nobody writes through these once the grid is constant.
    struct Scales {
        float* of_all;
        uint8_t* of_block;
    };
    Scales scales_in(const std::byte* grid) const {
        auto* const bytes = const_cast<std::byte*>(grid) + offset(5);
        return {reinterpret_cast<float*>(bytes), reinterpret_cast<uint8_t*>(bytes + sizeof(float))};
    }

    uint64_t row_bytes() const { return blocks_ * block / 2; }

    // Runs of whole blocks of a band, which has whole rows: work(i, j, x, n, first block).
    template <class Work>
    void each_run(const Band& in, const Work& work) const {
        toolbox::each_strip(in, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::read_strip(in, i, j, n,
                                [&](const float* x) { work(i, j, x, n, groups().at(in.region.row + i, j)); });
        });
    }

    ht_source source_;
    uint64_t blocks_, stored_rows_;  // blocks of a row; rows with padding
    toolbox::BlockedScales scales_;
    bool search_;
    const Kernels& kernels_;
};

}  // namespace halftone::nvfp4

HALFTONE_FORMAT(halftone::nvfp4::Nvfp4)
