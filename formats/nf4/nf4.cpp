// NF4 in two layouts: ComfyUI's (bnb_nf4), and that of bitsandbytes itself.

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/codebook_format.hpp>

#include "nf4_kernels.hpp"
#include "nf4_variants.hpp"

HALFTONE_KERNEL_IMAGE(nf4_device)

namespace halftone::nf4 {

namespace {

constexpr const char* label_name = "bnb_nf4";

toolbox::CodebookFormat::Codebook codebook() {
    const Kernels& table = kernels(cpu_level());
    return {"nf4", label_name, toolbox::CodebookFormat::way<Comfy>(table.comfy),
            toolbox::CodebookFormat::way<Bitsandbytes>(table.bitsandbytes)};
}

}  // namespace

class Nf4 : public toolbox::CodebookFormat {
  public:
    static constexpr PluginInfo info{"nf4", "1.0.0",
                                     "4-bit NormalFloat in blocks, as ComfyUI or bitsandbytes", "MIT"};

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "layout=comfyui", "", "none", "",
         "a fork of ComfyUI reads the tensors but fails in use; mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "", "layout=bitsandbytes", "bitsandbytes; transformers; diffusers", "none", "",
         "the genuine layout"},
    };

    Nf4(const ht_source& source, const Options& options) : CodebookFormat(source, options, codebook()) {}

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Nf4>(id, kernel_image(HALFTONE_IMAGE(nf4_device)));
    }

    static void recognize(const ht_layer& layer, OptionsOut& options, ht_source& source) {
        recognize_as(layer, options, source, codebook());
    }
};

}  // namespace halftone::nf4

HALFTONE_FORMAT(halftone::nf4::Nf4)
