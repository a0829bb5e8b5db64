// FP8: e4m3fn and e5m2 with one scale per tensor or per row.

#include <cfloat>
#include <string>
#include <string_view>

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "fp8_kernels.hpp"
#include "fp8_variants.hpp"

HALFTONE_KERNEL_IMAGE(fp8_device)

namespace halftone::fp8 {

namespace {

enum class ElementType { e4m3fn, e5m2 };
enum class ScalePer { tensor, row };

constexpr const char* element_names[] = {"e4m3fn", "e5m2", nullptr};
constexpr const char* scale_names[] = {"tensor", "row", nullptr};

// The names of element and scale in the order of the enums above.
constexpr const char* label_names[2][2] = {{"float8_e4m3fn", "float8_e4m3fn_rowwise"},
                                           {"float8_e5m2", "float8_e5m2_rowwise"}};

constexpr const char* activations = "fp8, scaled by input_scale or by 1";

std::vector<Stored> stored(const ht_source& source, ElementType element, ScalePer per) {
    const ht_dtype dtype = element == ElementType::e5m2 ? HT_DTYPE_F8_E5M2 : HT_DTYPE_F8_E4M3;
    const bool legacy = source.dialect == HT_DIALECT_LEGACY;
    const std::vector<uint64_t> scale_shape =
        per == ScalePer::row ? std::vector{source.rows} : std::vector<uint64_t>{};
    std::vector<Stored> all = {
        {HT_ROLE_WEIGHT, ".weight", dtype, {source.rows, source.cols}},
        {HT_ROLE_SCALE, legacy ? ".scale_weight" : ".weight_scale", HT_DTYPE_F32, scale_shape}};
    if (legacy) {  // two elements ask for full precision
        const uint64_t n = source.wants & HT_WANTS_FULL_PRECISION_MM ? 2 : 0;
        all.push_back({HT_ROLE_MARKER, "scaled_fp8", HT_DTYPE_F8_E4M3, {n}, HT_SCOPE_FILE});
    }
    return all;
}

toolbox::ScalarFormat::Parts parts(const ht_source& source, ElementType element, ScalePer per,
                                   toolbox::ScaleFit fit) {
    if (source.rank != 2 || source.experts != 1)
        throw Refused("fp8 takes plain matrices, and this has " + std::to_string(source.rank) +
                      " dimensions");
    if (source.rows == 0 || source.cols == 0) throw Refused("it has no elements");
    if (source.dialect == HT_DIALECT_BITSANDBYTES) throw Refused("bitsandbytes stores no fp8 weights");
    if (source.dialect == HT_DIALECT_LEGACY && (element != ElementType::e4m3fn || per != ScalePer::tensor))
        throw Refused("loaders of the legacy layout take every weight for e4m3fn with one scale per tensor");

    const bool e5m2 = element == ElementType::e5m2;
    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts = {
        e5m2 ? table.e5m2 : table.e4m3fn,
        e5m2 ? toolbox::scalar_levels<toolbox::E5m2>() : toolbox::scalar_levels<toolbox::E4m3fn>(),
        per == ScalePer::row ? toolbox::ScaleGroups::row(source.rows, source.cols)
                             : toolbox::ScaleGroups::tensor(source.rows, source.cols),
        e5m2 ? Variant<toolbox::E5m2>::scale : Variant<toolbox::E4m3fn>::scale, stored(source, element, per)};
    parts.fit = fit;
    parts.variant = static_cast<uint16_t>(element);
    return parts;
}

// ------------------------------------------------------------------------------------------- reading back

ElementType element_of(const toolbox::StoredLayer& layer, const ht_tensor& weight) {
    if (weight.dtype != HT_DTYPE_F8_E4M3 && weight.dtype != HT_DTYPE_F8_E5M2)
        throw Refused("its weight is not 8-bit floating point");
    const auto element = weight.dtype == HT_DTYPE_F8_E5M2 ? ElementType::e5m2 : ElementType::e4m3fn;
    if (!layer.marker()) return element;
    const auto label = layer.marker()->text("format");
    if (!label) throw Refused("its marker names no format");
    for (const auto type : {ElementType::e4m3fn, ElementType::e5m2})
        for (const char* const name : label_names[static_cast<int>(type)])
            if (*label == name) {
                if (type == element) return element;
                throw Refused("its marker says '" + std::string(*label) + "', but the weight is stored as " +
                              element_names[static_cast<int>(element)]);
            }
    throw Refused("its format is '" + std::string(*label) + "'");
}

// From the shape alone: some writers label a single scale as rowwise.
ScalePer scaling_of(const toolbox::StoredLayer& layer, const ht_tensor& scales, uint64_t rows) {
    if (scales.dtype != HT_DTYPE_F32) throw Refused("its scale is not stored as F32");
    const std::vector<uint64_t> shape = toolbox::shape_of(scales);
    using Shape = std::vector<uint64_t>;
    if (shape.empty() || shape == Shape{1} || shape == Shape{1, 1}) return ScalePer::tensor;
    if (shape != Shape{rows} && shape != Shape{rows, 1})
        throw Refused("its scale has shape " + toolbox::to_string(shape) +
                      ", neither one number nor one of " + std::to_string(rows) + " rows");
    const auto label = layer.marker() ? layer.marker()->text("format") : std::nullopt;
    if (label && !label->ends_with("_rowwise"))
        throw Refused("'" + std::string(*label) + "' stands for one scale, but there are " +
                      std::to_string(rows));
    return ScalePer::row;
}

}  // namespace

class Fp8 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"fp8", "1.0.0", "8-bit floating point with one scale per tensor or row",
                                     "MIT"};

    static constexpr ht_option options[] = {
        choice("element", "e4m3fn", element_names, "e4m3fn has finer steps, e5m2 a wider range"),
        choice("scaling", "tensor", scale_names, "what shares one scale"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "float8_e4m3fn", "element=e4m3fn scaling=tensor",
         "comfyui>=2025-12; comfyui-fork", activations, ""},
        {sizeof(ht_label), 0, "float8_e5m2", "element=e5m2 scaling=tensor", "comfyui>=2026-01", activations,
         ""},
        {sizeof(ht_label), 0, "float8_e4m3fn_rowwise", "element=e4m3fn scaling=row", "comfyui-fork",
         activations, "mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "float8_e5m2_rowwise", "element=e5m2 scaling=row", "", "none",
         "no loader knows this label"},
        {sizeof(ht_label), 0, "", "layout=legacy element=e4m3fn scaling=tensor", "comfyui; comfyui-fork",
         activations, "scale_weight beside the weight, scaled_fp8 for the file"},
    };

    Fp8(const ht_source& source, const Options& options)
        : Fp8(source, options.choice_as<ElementType>("element"), options.choice_as<ScalePer>("scaling"),
              options.choice_as<toolbox::ScaleFit>("scale")) {}

    void describe(JsonSink sink) const {
        sink.text("format", label_);
        if (full_precision_) sink.flag("full_precision_matrix_mult", true);
    }

    static const void* extension(std::string_view id) {
        return toolbox::scalar_kernels_extension<Fp8>(id, kernel_image(HALFTONE_IMAGE(fp8_device)));
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->rank != 2) throw Refused("it has no matrix as its weight");
        const ElementType element = element_of(layer, *weight);
        const ht_tensor* scales = layer.tensor(".weight_scale");
        const ht_tensor* const legacy = scales ? nullptr : layer.tensor(".scale_weight");
        if (legacy) scales = legacy;
        if (!scales) throw Refused("its weight has no scale");
        const ScalePer per = scaling_of(layer, *scales, weight->shape[0]);
        if (legacy && (element != ElementType::e4m3fn || per != ScalePer::tensor))
            throw Refused("the legacy layout has e4m3fn weights with one scale each, and nothing else");

        const ht_tensor* const marker = legacy ? layer.whole_file("scaled_fp8") : nullptr;
        const bool full_precision =
            marker ? marker->rank == 1 && marker->shape[0] == 2
                   : layer.marker() && layer.marker()->flag("full_precision_matrix_mult").value_or(false);
        options.set_choice("element", element_names[static_cast<int>(element)]);
        options.set_choice("scaling", scale_names[static_cast<int>(per)]);
        source.dtype = weight->dtype;
        source.dialect = legacy ? HT_DIALECT_LEGACY : HT_DIALECT_COMFY;
        source.wants = full_precision ? HT_WANTS_FULL_PRECISION_MM : 0;
        source.rank = 2;
        source.shape[0] = source.rows = weight->shape[0];
        source.shape[1] = source.cols = weight->shape[1];
        source.experts = 1;
    }

  private:
    Fp8(const ht_source& source, ElementType element, ScalePer per, toolbox::ScaleFit fit)
        : ScalarFormat(parts(source, element, per, fit)),
          label_(label_names[static_cast<int>(element)][static_cast<int>(per)]),
          full_precision_((source.wants & HT_WANTS_FULL_PRECISION_MM) != 0) {}

    const char* label_;
    bool full_precision_;
};

}  // namespace halftone::fp8

HALFTONE_FORMAT(halftone::fp8::Fp8)
