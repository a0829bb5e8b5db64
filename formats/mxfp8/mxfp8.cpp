// MXFP8: e4m3 in blocks of 32 along a row, scaled by powers of two.

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/padded_blocks.hpp>

#include "mxfp8_blocks.hpp"
#include "mxfp8_kernels.hpp"

HALFTONE_KERNEL_IMAGE(mxfp8_device)

namespace halftone::mxfp8 {

namespace {

constexpr const char* hybrid_label = "hybrid_mxfp8";

// Scales are of type e8m0, which not all that reads files knows.
constexpr toolbox::PaddedBlocks::Kind kind{
    .name = "mxfp8",
    .block = Blocks::length,
    .scaling = Blocks::scaling,
    .packing = Blocks::packing,
    .most_scale = Blocks::most_scale,
    .weight = HT_DTYPE_F8_E4M3,
    .scale = HT_DTYPE_U8,
    .input_scale = HT_INPUT_SCALE_NEVER,
};

}  // namespace

class Mxfp8 : public toolbox::PaddedBlocks {
  public:
    static constexpr PluginInfo info{"mxfp8", "1.0.0",
                                     "8-bit floating point in blocks of 32 scaled by powers of two", "MIT"};

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "mxfp8", "", "comfyui>=2026-03", "mxfp8, scaled as they come",
         "NVIDIA from Blackwell on", "dequantized before multiplying on older hardware"},
        {sizeof(ht_label), 0, hybrid_label, "", "", "none", "",
         "only read: what a converter makes of mxfp8 with one number more"},
    };

    Mxfp8(const ht_source& source, const Options& options)
        : PaddedBlocks(kind, kernels(cpu_level()), toolbox::scalar_levels<Blocks::Element>(), source,
                       options),
          hybrid_((source.wants & HT_WANTS_AS_FOUND) != 0) {}

    Facts facts() const {
        Facts facts = PaddedBlocks::facts();
        if (hybrid_) facts.stored.push_back({HT_ROLE_MARKER, ".weight_scalar", HT_DTYPE_F32, {}});
        return facts;
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Mxfp8>(id, kernel_image(HALFTONE_IMAGE(mxfp8_device)));
    }

    void round_activations(const float*, const Band& rows) const {
        toolbox::round_to_blocks<Blocks>(1, rows);
    }

    // A converter adds .weight_scalar and names the result hybrid_mxfp8. The bytes are the same, and that
    // number is not needed for them.
    static void recognize(const ht_layer& found, OptionsOut&, ht_source& source) {
        recognize_blocks(kind, {kind.name, hybrid_label}, found, source);
        const toolbox::StoredLayer layer(found);
        if (layer.marker() && layer.marker()->text("format") == hybrid_label)
            source.wants |= HT_WANTS_AS_FOUND;
    }

  private:
    bool hybrid_;
};

}  // namespace halftone::mxfp8

HALFTONE_FORMAT(halftone::mxfp8::Mxfp8)
