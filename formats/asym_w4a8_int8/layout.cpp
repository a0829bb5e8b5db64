#include "layout.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone::asym_w4a8_int8 {

Choice chosen(const ht_source& source, const Options& options) {
    toolbox::demand_matrix(source, label_name, toolbox::Stacks::refused);
    const uint64_t cols = source.cols;
    if (source.dialect != HT_DIALECT_COMFY)
        throw Refused("asym_w4a8_int8 has no other layout than ComfyUI's");
    if (source.wants & HT_WANTS_COLUMNS)
        throw Refused("loaders tell the model by its number of columns, which two codes in a byte halve");
    const auto group = static_cast<uint64_t>(options.whole("group_size"));
    if (16 % group != 0 && group % 16 != 0)
        throw Refused("group_size is " + std::to_string(group) + "; loaders take 4, 8 and multiples of 16");
    if (cols % 16 != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of 16, as its loaders need");
    if (cols % group != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of the group size, " +
                      std::to_string(group));
    return {group, toolbox::rotation_group(cols, toolbox::wanted_rotation(options)),
            options.choice_as<Book>("codebook"),
            options.choice_as<toolbox::ScaleFit>("scale") == toolbox::ScaleFit::mse,
            options.flag("correction")};
}

void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
    const toolbox::StoredLayer layer(found);
    if (!layer.marker() || layer.marker()->text("format") != label_name)
        throw Refused("it is not labelled " + std::string(label_name));
    const ht_tensor* const weight = layer.tensor(".weight");
    if (!weight || weight->rank != 2 || weight->dtype != HT_DTYPE_I8)
        throw Refused("it has no I8 matrix as its weight");
    using Shape = std::vector<uint64_t>;
    const auto part = [&](const char* suffix, std::initializer_list<ht_dtype> dtypes, const Shape& shape) {
        const ht_tensor* const tensor = layer.tensor(suffix);
        if (!tensor) throw Refused("there is no " + std::string(suffix));
        if (std::find(dtypes.begin(), dtypes.end(), tensor->dtype) == dtypes.end())
            throw Refused(std::string(suffix) + " is of a type that is not read");
        if (toolbox::shape_of(*tensor) != shape)
            throw Refused(std::string(suffix) + " has shape " +
                          toolbox::to_string(toolbox::shape_of(*tensor)) + ", not " +
                          toolbox::to_string(shape));
        return tensor->dtype;
    };
    const uint64_t rows = weight->shape[0], bytes = weight->shape[1], cols = 2 * bytes;
    const int64_t group = layer.number("group_size").value_or(16);
    if (group < 4 || (16 % group != 0 && group % 16 != 0))
        throw Refused("its marker says groups of " + std::to_string(group) + ", which cannot be");
    const uint64_t length = static_cast<uint64_t>(group);
    const ht_tensor* const scales = layer.tensor(".weight_s_rel");
    if (scales && scales->rank == 2 && scales->shape[1] < UINT32_MAX / length &&
        scales->shape[1] * length * 3 == bytes * 4)
        throw Refused("its codes have 6 bits, and only those of 4 are read");
    if (cols % length != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of its groups of " +
                      std::to_string(group));
    part(".weight_s_rel", {HT_DTYPE_F8_E4M3, HT_DTYPE_U8}, {rows, cols / length});
    part(".weight_s_channel", {HT_DTYPE_F32}, {rows});
    const bool has_codebook = layer.tensor(".weight_codebook") != nullptr;
    if (has_codebook) part(".weight_codebook", {HT_DTYPE_F32}, {16});
    const bool corrected = layer.tensor(".weight_correction") != nullptr;
    source.dtype = corrected ? part(".weight_correction", {HT_DTYPE_BF16, HT_DTYPE_F16, HT_DTYPE_F32},
                                    {cols / length, rows})
                             : HT_DTYPE_BF16;
    const int64_t rotation =
        layer.number("convrot_groupsize").value_or(static_cast<int64_t>(toolbox::usual_rotation));
    if (!toolbox::rotates_in(rotation, cols))
        throw Refused("its marker says that it is rotated in groups of " + std::to_string(rotation) +
                      ", which cannot be");
    options.set_whole("group_size", group);
    options.set_whole("rotation_group", rotation);
    options.set_choice("codebook", book_names[static_cast<int>(has_codebook ? Book::fixed : Book::none)]);
    options.set_flag("correction", corrected);
    source.dialect = HT_DIALECT_COMFY;
    source.wants = layer.wants_full_precision();
    toolbox::set_matrix(source, rows, cols);
}

}  // namespace halftone::asym_w4a8_int8
