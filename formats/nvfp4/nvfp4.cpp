// NVFP4: e2m1 in blocks of 16 along a row, an e4m3 scale per block, a float32 scale for the whole.

#include <algorithm>
#include <cfloat>

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

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "nvfp4", "", "comfyui>=2026-01", "nvfp4, scaled by input_scale or per batch",
         "NVIDIA from Blackwell on", "dequantized before multiplying on older hardware"},
    };

    Nvfp4(const ht_source& source, const Options& options)
        : PaddedBlocks(kind, kernels(cpu_level()), toolbox::scalar_levels<Blocks::Element>(), source,
                       options) {}

    Facts facts() const {
        Facts facts = PaddedBlocks::facts();
        facts.activation_max = 448 * 6;  // they become nvfp4 themselves
        return facts;
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Nvfp4>(id, kernel_image(HALFTONE_IMAGE(nvfp4_device)));
    }

    void round_activations(const float* input_scale, const Band& rows) const {
        toolbox::round_to_blocks<Blocks>(input_scale ? *input_scale : toolbox::largest(rows) / 2688, rows);
    }

    static void recognize(const ht_layer& found, OptionsOut&, ht_source& source) {
        recognize_blocks(kind, {kind.name}, found, source);
    }
};

}  // namespace halftone::nvfp4

HALFTONE_FORMAT(halftone::nvfp4::Nvfp4)
