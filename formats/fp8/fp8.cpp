// FP8: e4m3fn and e5m2 with one scale per tensor, row, square tile or group of a row.

#include <algorithm>
#include <string>
#include <string_view>

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "fp8_converted.hpp"
#include "fp8_kernels.hpp"
#include "fp8_variants.hpp"

HALFTONE_KERNEL_IMAGE(fp8_device)

namespace halftone::fp8 {

namespace {

enum class ElementType { e4m3fn, e5m2 };
enum class ScalePer { tensor, row, block, block3d };

constexpr const char* element_names[] = {"e4m3fn", "e5m2", nullptr};
constexpr const char* scale_names[] = {"tensor", "row", "block", "block3d", "block2d=block", nullptr};

// The names of element and scale in the order of the enums above. Groups of a row have none of their own that
// a loader knows; the shape of the scale tells them.
constexpr const char* label_names[2][4] = {
    {"float8_e4m3fn", "float8_e4m3fn_rowwise", "float8_e4m3fn_blockwise", "float8_e4m3fn"},
    {"float8_e5m2", "float8_e5m2_rowwise", "float8_e5m2_blockwise", "float8_e5m2"}};
constexpr std::string_view group_label_ending = "_block3d";  // of some converters

constexpr const char* activations = "fp8, scaled by input_scale or by 1";
constexpr const char* ada = "NVIDIA from Ada on";

constexpr uint64_t least_block = 2, usual_block = 64;
constexpr bool has_blocks(ScalePer per) {
    return per == ScalePer::block || per == ScalePer::block3d;
}

struct Choice {
    ElementType element = ElementType::e4m3fn;
    ScalePer per = ScalePer::tensor;
    uint64_t block = usual_block;

    uint64_t tall() const { return per == ScalePer::block ? block : 1; }
    // Of an option that was set and is good for nothing here.
    const char* remark() const {
        return has_blocks(per) || block == usual_block ? ""
                                                       : "without blocks: block_size needs another scaling";
    }
    const char* label() const { return label_names[static_cast<int>(element)][static_cast<int>(per)]; }
};

Choice chosen(const Options& options) {
    return {options.choice_as<ElementType>("element"), options.choice_as<ScalePer>("scaling"),
            static_cast<uint64_t>(options.whole("block_size"))};
}

std::vector<Stored> stored(const ht_source& source, const Choice& choice) {
    const ht_dtype dtype = choice.element == ElementType::e5m2 ? HT_DTYPE_F8_E5M2 : HT_DTYPE_F8_E4M3;
    const bool legacy = source.dialect == HT_DIALECT_LEGACY;
    std::vector<uint64_t> scale_shape;
    if (choice.per != ScalePer::tensor) scale_shape = {source.rows / choice.tall()};
    if (has_blocks(choice.per)) scale_shape.push_back(source.cols / choice.block);
    if (choice.per == ScalePer::block3d) scale_shape.push_back(1);
    std::vector<Stored> all = {
        {HT_ROLE_WEIGHT, ".weight", dtype, {source.rows, source.cols}},
        {HT_ROLE_SCALE, legacy ? ".scale_weight" : ".weight_scale", HT_DTYPE_F32, scale_shape}};
    if (legacy) {  // two elements ask for full precision
        const uint64_t n = source.wants & HT_WANTS_FULL_PRECISION_MM ? 2 : 0;
        all.push_back({HT_ROLE_MARKER, "scaled_fp8", HT_DTYPE_F8_E4M3, {n}, HT_SCOPE_FILE});
    }
    return all;
}

toolbox::ScaleGroups groups(const ht_source& source, const Choice& choice) {
    if (has_blocks(choice.per))
        return toolbox::ScaleGroups::tile(source.rows, source.cols, choice.tall(), choice.block);
    return choice.per == ScalePer::row ? toolbox::ScaleGroups::row(source.rows, source.cols)
                                       : toolbox::ScaleGroups::tensor(source.rows, source.cols);
}

// Only where there is a loader that reads it.
bool is_converted(const ht_source& source, const Choice& choice) {
    return source.dialect == HT_DIALECT_LEGACY && choice.element == ElementType::e5m2 &&
           choice.per == ScalePer::tensor;
}

toolbox::ScalarFormat::Parts parts(const ht_source& source, const Choice& choice, toolbox::ScaleFit fit) {
    const bool as_loaders_stack = source.dialect == HT_DIALECT_COMFY && choice.per == ScalePer::tensor;
    toolbox::demand_matrix(source, "fp8",
                           as_loaders_stack ? toolbox::Stacks::taken : toolbox::Stacks::refused);
    if (source.dialect == HT_DIALECT_BITSANDBYTES) throw Refused("bitsandbytes stores no fp8 weights");
    if (source.dialect == HT_DIALECT_LEGACY && !(source.wants & HT_WANTS_AS_FOUND) &&
        (choice.element != ElementType::e4m3fn || choice.per != ScalePer::tensor))
        throw Refused("loaders of the legacy layout take every weight for e4m3fn with one scale per tensor");
    if (has_blocks(choice.per)) toolbox::demand_whole_blocks(source.cols, choice.block, "columns");
    if (choice.per == ScalePer::block) toolbox::demand_whole_blocks(source.rows, choice.block, "rows");

    const bool e5m2 = choice.element == ElementType::e5m2, converted = is_converted(source, choice);
    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts = {
        converted ? table.e5m2_as_e4m3fn
        : e5m2    ? table.e5m2
                  : table.e4m3fn,
        converted ? toolbox::scalar_levels<E5m2AsE4m3fn>()
        : e5m2    ? toolbox::scalar_levels<toolbox::E5m2>()
                  : toolbox::scalar_levels<toolbox::E4m3fn>(),
        groups(source, choice), e5m2 ? Variant<toolbox::E5m2>::scale : Variant<toolbox::E4m3fn>::scale,
        stored(source, choice)};
    parts.fit = fit;
    parts.variant = static_cast<uint16_t>(choice.element);
    return parts;
}

// ------------------------------------------------------------------------------------------- reading back

bool is_label_of(std::string_view label, ElementType element) {
    const auto& names = label_names[static_cast<int>(element)];
    return std::ranges::count(names, label) > 0 ||
           label == std::string(names[0]) + std::string(group_label_ending);
}

ElementType element_of(const toolbox::StoredLayer& layer, const ht_tensor& weight) {
    if (weight.dtype != HT_DTYPE_F8_E4M3 && weight.dtype != HT_DTYPE_F8_E5M2)
        throw Refused("its weight is not 8-bit floating point");
    const auto element = weight.dtype == HT_DTYPE_F8_E5M2 ? ElementType::e5m2 : ElementType::e4m3fn;
    if (!layer.marker()) return element;
    const auto label = layer.marker()->text("format");
    if (!label) throw Refused("its marker names no format");
    for (const auto type : {ElementType::e4m3fn, ElementType::e5m2})
        if (is_label_of(*label, type)) {
            if (type == element) return element;
            throw Refused("its marker says '" + std::string(*label) + "', but the weight is stored as " +
                          element_names[static_cast<int>(element)]);
        }
    throw Refused("its format is '" + std::string(*label) + "'");
}

// From the shape alone: some writers label one scale as rowwise, and rows as blockwise where a matrix has no
// whole tiles. Only rows demand their label, or any but that of one scale: loaders take a list of numbers
// beside that for one per column.
Choice layout_of(const toolbox::StoredLayer& layer, const ht_tensor& scales, ElementType element,
                 uint64_t rows, uint64_t cols) {
    if (!toolbox::is_float(scales)) throw Refused("its scale is not stored as floating point");
    const std::vector<uint64_t> shape = toolbox::shape_of(scales);
    const auto label = layer.marker() ? layer.marker()->text("format") : std::nullopt;
    using Shape = std::vector<uint64_t>;
    const bool divides =
        shape.size() > 1 && shape[0] && shape[1] && rows % shape[0] == 0 && cols % shape[1] == 0;
    const uint64_t wide = divides ? cols / shape[1] : 0;
    const auto of_blocks = [&](ScalePer per) {
        const auto group = layer.number("group_size");
        if (group && *group > 0 && static_cast<uint64_t>(*group) != wide)
            throw Refused("its marker says groups of " + std::to_string(*group) + ", but the scales, " +
                          toolbox::to_string(shape) + ", are of " + std::to_string(wide));
        return Choice{element, per, wide};
    };
    if (divides && wide >= least_block) {
        const bool labelled = label && label->ends_with("_blockwise");
        const bool tiles = shape.size() == 2 && rows / shape[0] == wide;
        if (tiles && (labelled || toolbox::count(scales) > 1)) return of_blocks(ScalePer::block);
        if (shape == Shape{rows, shape[1], 1}) return of_blocks(ScalePer::block3d);
    }
    if (toolbox::count(scales) == 1) return {element, ScalePer::tensor};
    if (shape != Shape{rows} && shape != Shape{rows, 1})
        throw Refused("its scale has shape " + toolbox::to_string(shape) + ", which fits no layout of " +
                      std::to_string(rows) + " x " + std::to_string(cols));
    if (label && label == label_names[static_cast<int>(element)][0])
        throw Refused("'" + std::string(*label) + "' stands for one scale, but there are " +
                      std::to_string(rows));
    return {element, ScalePer::row};
}

}  // namespace

class Fp8 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{
        "fp8", "1.0.0", "8-bit floating point with scales per tensor, row, tile or group", "MIT"};

    static constexpr ht_option options[] = {
        choice("element", "e4m3fn", element_names, "e4m3fn has finer steps, e5m2 a wider range"),
        choice("scaling", "tensor", scale_names,
               "what shares one scale: the tensor, a row, a square tile (block; block2d is the same), or "
               "consecutive columns of a row (block3d)"),
        whole("block_size", "64", least_block, 65536, "rows and columns of a tile, or columns of a group"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "float8_e4m3fn", "element=e4m3fn scaling=tensor",
         "comfyui>=2025-12; comfyui-fork", activations, ada, ""},
        {sizeof(ht_label), 0, "float8_e5m2", "element=e5m2 scaling=tensor", "comfyui>=2026-01", activations,
         ada, "small scales of other writers (amax/57344) may vanish in F16"},
        {sizeof(ht_label), 0, "float8_e4m3fn_rowwise", "element=e4m3fn scaling=row", "comfyui-fork",
         activations, "", "mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "float8_e5m2_rowwise", "element=e5m2 scaling=row", "", "none", "",
         "no loader knows this label"},
        {sizeof(ht_label), 0, "float8_e4m3fn_blockwise", "element=e4m3fn scaling=block", "comfyui-fork",
         activations, "", "mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "float8_e5m2_blockwise", "element=e5m2 scaling=block", "", "none", "",
         "no loader knows this label"},
        {sizeof(ht_label), 0, "float8_e4m3fn", "element=e4m3fn scaling=block3d", "", "none", "",
         "loaders of this label take the file for one with a single scale, and fail in use or compute "
         "wrongly"},
        {sizeof(ht_label), 0, "float8_e5m2", "element=e5m2 scaling=block3d", "", "none", "",
         "loaders of this label take the file for one with a single scale, and fail in use or compute "
         "wrongly"},
        {sizeof(ht_label), 0, "", "layout=legacy element=e4m3fn scaling=tensor", "comfyui; comfyui-fork",
         activations, ada, "scale_weight beside the weight, scaled_fp8 for the file"},
    };

    Fp8(const ht_source& source, const Options& options)
        : Fp8(source, chosen(options), options.choice_as<toolbox::ScaleFit>("scale")) {}

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        facts.remark = choice_.remark();
        facts.activation_max = toolbox::E4m3fnLayout::most_value;  // of weights in e5m2, too
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", choice_.label());
        if (has_blocks(choice_.per)) toolbox::write_group_size(sink, choice_.block);
        toolbox::write_full_precision(sink, wants_);
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Fp8>(id, kernel_image(HALFTONE_IMAGE(fp8_device)));
    }

    bool on_device(std::string_view kernel) const { return !converted_ && ScalarFormat::on_device(kernel); }

    // Nobody loads groups of a row, nor e5m2 with more than one scale.
    void round_activations(const float* input_scale, const Band& rows) const {
        if (converted_ || (choice_.element == ElementType::e4m3fn && choice_.per != ScalePer::block3d))
            toolbox::round_to_float8<toolbox::E4m3fn>(input_scale, rows);
        else if (choice_.element == ElementType::e5m2 && choice_.per == ScalePer::tensor)
            toolbox::round_to_float8<toolbox::E5m2>(input_scale, rows);
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
        const Choice choice = layout_of(layer, *scales, element, weight->shape[0], weight->shape[1]);

        const ht_tensor* const marker = legacy ? layer.whole_file("scaled_fp8") : nullptr;
        const bool full_precision =
            marker ? marker->rank == 1 && marker->shape[0] == 2 : layer.wants_full_precision() != 0;
        options.set_choice("element", element_names[static_cast<int>(element)]);
        options.set_choice("scaling", scale_names[static_cast<int>(choice.per)]);
        options.set_whole("block_size", static_cast<int64_t>(choice.block));
        source.dtype = weight->dtype;
        source.dialect = legacy ? HT_DIALECT_LEGACY : HT_DIALECT_COMFY;
        source.wants = full_precision ? HT_WANTS_FULL_PRECISION_MM : 0;
        if (legacy) source.wants |= HT_WANTS_AS_FOUND;  // converters stored any scaling so
        toolbox::set_matrix(source, weight->shape[0], weight->shape[1]);
    }

  private:
    Fp8(const ht_source& source, const Choice& choice, toolbox::ScaleFit fit)
        : ScalarFormat(parts(source, choice, fit)),
          choice_(choice),
          wants_(source.wants),
          converted_(is_converted(source, choice)) {}

    Choice choice_;
    uint32_t wants_;
    bool converted_;
};

}  // namespace halftone::fp8

HALFTONE_FORMAT(halftone::fp8::Fp8)
