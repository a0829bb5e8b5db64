// FP4 in two layouts: ComfyUI's (bnb_fp4), and that of bitsandbytes itself.

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/codebook_format.hpp>

#include "fp4_kernels.hpp"
#include "fp4_variants.hpp"

HALFTONE_KERNEL_IMAGE(fp4_device)

namespace halftone::fp4 {

namespace {

constexpr const char* label_name = "bnb_fp4";

toolbox::CodebookFormat::Codebook codebook() {
    const Kernels& table = kernels(cpu_level());
    return {"fp4", label_name, toolbox::CodebookFormat::way<Comfy>(table.comfy),
            toolbox::CodebookFormat::way<Bitsandbytes>(table.bitsandbytes)};
}

}  // namespace

class Fp4 : public toolbox::CodebookFormat {
  public:
    static constexpr PluginInfo info{
        "fp4", "1.0.0", "4-bit floating point of bitsandbytes in blocks, as it or ComfyUI", "MIT"};

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "layout=comfyui", "", "none", "",
         "a fork of ComfyUI reads the tensors but fails in use; mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "", "layout=bitsandbytes", "bitsandbytes; transformers; diffusers", "none", "",
         "the genuine layout"},
    };

    Fp4(const ht_source& source, const Options& options) : CodebookFormat(source, options, codebook()) {}

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Fp4>(id, kernel_image(HALFTONE_IMAGE(fp4_device)));
    }

    static void recognize(const ht_layer& layer, OptionsOut& options, ht_source& source) {
        recognize_as(layer, options, source, codebook());
    }
};

}  // namespace halftone::fp4

HALFTONE_FORMAT(halftone::fp4::Fp4)
