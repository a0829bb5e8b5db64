// NVFP4: e2m1 in blocks of 16 along a row, an e4m3 scale per block, a float32 scale for the whole.

#include <algorithm>
#include <cfloat>
#include <string>
#include <vector>

#include <halftone/ext/draft/column_scale.h>
#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/padded_blocks.hpp>

#include "nvfp4_blocks.hpp"
#include "nvfp4_kernels.hpp"

HALFTONE_KERNEL_IMAGE(nvfp4_device)

namespace halftone::nvfp4 {

namespace {

// Where all is 0, so is every block's own scale.
float scale_of_all(float amax) {
    return amax > 0 ? std::max(amax / 2688, toolbox::least_stored_scale) : 1;
}

// Of columns, in .pre_quant_scale.
enum class ColumnScale { none, one, each };
constexpr const char* column_scale_names[] = {"none", "one", "each", nullptr};

constexpr toolbox::PaddedBlocks::Kind kind{
    .name = "nvfp4",
    .block = Blocks::length,
    .scaling = Blocks::scaling,
    .packing = Blocks::packing,
    .most_scale = Blocks::most_scale,
    .weight = HT_DTYPE_U8,
    .scale = HT_DTYPE_F8_E4M3,
    .input_scale = HT_INPUT_SCALE_ALLOWED,
    .scale_of_all = scale_of_all,
    .most_scale_of_all = FLT_MAX / 2688,
};

}  // namespace

class Nvfp4 : public toolbox::PaddedBlocks {
  public:
    static constexpr PluginInfo info{"nvfp4", "1.0.0",
                                     "4-bit floating point in blocks of 16 with two levels of scales", "MIT"};

    static constexpr ht_option options[] = {
        toolbox::PaddedBlocks::options[0],
        toolbox::PaddedBlocks::options[1],
        choice(
            "column_scale", "none", column_scale_names,
            "what loaders multiply inputs by, in .pre_quant_scale: a scale for each column, or one for all; "
            "only read so far"),
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "nvfp4", "", "comfyui>=2026-01", "nvfp4, scaled by input_scale or per batch",
         "NVIDIA from Blackwell on", "dequantized before multiplying on older hardware"},
    };

    Nvfp4(const ht_source& source, const Options& options)
        : PaddedBlocks(kind, kernels(cpu_level()), toolbox::scalar_levels<Blocks::Element>(), source,
                       options),
          column_scale_(options.choice_as<ColumnScale>("column_scale")),
          cols_(source.cols) {
        if (column_scale_ != ColumnScale::none && !(source.wants & HT_WANTS_AS_FOUND))
            throw Refused(
                "scales of columns are read from files and cannot be written yet; leave out "
                "column_scale");
        if (source.experts > 1) column_scale_ = ColumnScale::none;  // loaders do not look for them in stacks
    }

    Facts facts() const {
        Facts facts = PaddedBlocks::facts();
        facts.activation_max = 448 * 6;  // they become nvfp4 themselves
        if (column_scale_ != ColumnScale::none)
            facts.stored.push_back(
                {HT_ROLE_COLUMN_SCALE, column_scale_suffix, HT_DTYPE_F32,
                 column_scale_ == ColumnScale::each ? std::vector{cols_} : std::vector<uint64_t>()});
        return facts;
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        if (i > 2) throw std::logic_error("scales of columns are not written");
        PaddedBlocks::companion(grid, i, out);
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Nvfp4>(id, kernel_image(HALFTONE_IMAGE(nvfp4_device)));
    }

    void round_activations(const float* input_scale, const Band& rows) const {
        toolbox::round_to_blocks<Blocks>(input_scale ? *input_scale : toolbox::largest(rows) / 2688, rows);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        recognize_blocks(kind, {kind.name}, found, source);
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const scale = layer.tensor(column_scale_suffix);
        const bool stack = layer.marker() && layer.marker()->whole("num_experts").value_or(1) > 1;
        if (!scale || stack) return;  // loaders do not look for them in stacks
        if (!is_float(scale->dtype))
            throw Refused(std::string("its ") + column_scale_suffix + " is not of a floating-point type");
        const std::vector<uint64_t> shape = toolbox::shape_of(*scale);
        const uint64_t n = toolbox::count(*scale), last = shape.empty() ? 1 : shape.back();
        if (n != last || (n != source.cols && n != 1))
            throw Refused(std::string("its ") + column_scale_suffix + " has shape " +
                          toolbox::to_string(shape) + ", not [" + std::to_string(source.cols) +
                          "], one for each column");
        const ColumnScale kind = n == source.cols ? ColumnScale::each : ColumnScale::one;
        options.set_choice("column_scale", column_scale_names[static_cast<size_t>(kind)]);
        source.wants |= HT_WANTS_AS_FOUND;
    }

  private:
    static constexpr const char* column_scale_suffix = ".pre_quant_scale";

    static bool is_float(ht_dtype dtype) {
        return dtype == HT_DTYPE_F64 || dtype == HT_DTYPE_F32 || dtype == HT_DTYPE_F16 ||
               dtype == HT_DTYPE_BF16;
    }

    ColumnScale column_scale_;
    uint64_t cols_;
};

}  // namespace halftone::nvfp4

HALFTONE_FORMAT(halftone::nvfp4::Nvfp4)
