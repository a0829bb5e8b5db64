#include "layout.hpp"

#include <string>
#include <vector>

#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone::asym_w4a8_int8 {

Choice chosen(const ht_source& source, const Options& options) {
    const bool as_found = source.wants & HT_WANTS_AS_FOUND;
    if (source.experts > 1 && !as_found)
        throw Refused("stacks of experts are read, and not written yet: they share one codebook");
    toolbox::demand_matrix(source, label_name, toolbox::Stacks::taken);
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
    const Choice choice{group,
                        toolbox::rotation_group(cols, toolbox::wanted_rotation(options)),
                        options.choice_as<Book>("codebook"),
                        options.choice_as<toolbox::ScaleFit>("scale") == toolbox::ScaleFit::mse,
                        options.flag("correction"),
                        options.choice("bits") == bits_names[1] ? 6u : 4u,
                        options.choice("group_scale") == scale_names[1]};
    if (choice.is_only_read() && !as_found)
        throw Refused(choice.wide_scales
                          ? "group scales in F32 are read, and not written: use group_scale = \"e4m3\""
                          : "codes of 6 bits are read, and not written yet: use bits = 4");
    return choice;
}

namespace {

using Shape = std::vector<uint64_t>;

const ht_tensor& part_of(const toolbox::StoredLayer& layer, const char* suffix) {
    const ht_tensor* const tensor = layer.tensor(suffix);
    if (!tensor) throw Refused("there is no " + std::string(suffix));
    return *tensor;
}

const ht_tensor& floats_of(const toolbox::StoredLayer& layer, const char* suffix) {
    const ht_tensor& tensor = part_of(layer, suffix);
    if (!toolbox::is_float(tensor)) throw Refused(std::string(suffix) + " is of a type that is not read");
    return tensor;
}

// Of a stack the rows of all experts may follow each other in one dimension.
void demand_shape(const ht_tensor& tensor, const std::string& suffix, const Shape& shape, uint64_t experts) {
    Shape flat = shape;
    flat[0] *= experts;
    const Shape found = toolbox::shape_of(tensor);
    if (found != shape && found != flat)
        throw Refused(suffix + " has shape " + toolbox::to_string(found) + ", not " +
                      toolbox::to_string(shape));
}

}  // namespace

void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
    const toolbox::StoredLayer layer(found);
    if (!layer.marker() || layer.marker()->text("format") != label_name)
        throw Refused("it is not labelled " + std::string(label_name));
    const ht_tensor* const weight = layer.tensor(".weight");
    if (!weight || weight->rank != 2 || !toolbox::is_byte(*weight))
        throw Refused("it has no I8 matrix as its weight");
    const uint64_t rows = weight->shape[0], bytes = weight->shape[1], experts = layer.experts();
    const int64_t group = layer.number_or("group_size", 16);
    if (group < 4 || group > 65536 || (16 % group != 0 && group % 16 != 0))
        throw Refused("its marker says groups of " + std::to_string(group) + ", which cannot be");
    const auto length = static_cast<uint64_t>(group);
    const ht_tensor& scales = part_of(layer, ".weight_s_rel");
    const uint64_t cols = scales.rank == 2 && scales.shape[1] < UINT32_MAX ? scales.shape[1] * length : 0;
    const uint64_t bits = cols == 0 ? 0 : bytes * 8 / cols;
    if ((bits != 4 && bits != 6) || cols * bits != bytes * 8)
        throw Refused(".weight_s_rel has shape " + toolbox::to_string(toolbox::shape_of(scales)) + ", and " +
                      std::to_string(bytes) +
                      " bytes in a row are codes of neither 4 nor 6 bits in groups of " +
                      std::to_string(group));
    if (bits == 6 && (cols % 32 != 0 || group % 16 != 0))
        throw Refused("codes of 6 bits need columns in multiples of 32 and groups in multiples of 16, not " +
                      std::to_string(cols) + " and " + std::to_string(group));
    const bool wide_scales = toolbox::is_float(scales);
    if (!wide_scales && scales.dtype != HT_DTYPE_F8_E4M3 && scales.dtype != HT_DTYPE_U8)
        throw Refused(".weight_s_rel is of a type that is not read");
    demand_shape(scales, ".weight_s_rel", {rows, cols / length}, experts);
    demand_shape(floats_of(layer, ".weight_s_channel"), ".weight_s_channel", {rows}, experts);
    const bool has_codebook = layer.tensor(".weight_codebook") != nullptr;
    if (has_codebook) {
        const ht_tensor& book = floats_of(layer, ".weight_codebook");
        // One for all experts, which looks like a number for each where there are 16.
        if (experts != 16 || book.rank != 0) demand_shape(book, ".weight_codebook", {16}, 1);
    }
    const ht_tensor* const correction = layer.tensor(".weight_correction");
    if (bits == 6 && (has_codebook || correction))
        throw Refused("codes of 6 bits go with neither .weight_codebook nor .weight_correction");
    if (correction && experts > 1) throw Refused("stacks of experts go with no .weight_correction");
    source.dtype = HT_DTYPE_BF16;
    if (correction) {
        source.dtype = floats_of(layer, ".weight_correction").dtype;
        if (source.dtype == HT_DTYPE_F64) throw Refused(".weight_correction is of a type that is not read");
        demand_shape(*correction, ".weight_correction", {cols / length, rows}, 1);
    }
    const int64_t rotation =
        layer.number_or("convrot_groupsize", static_cast<int64_t>(toolbox::usual_rotation));
    if (!toolbox::rotates_in(rotation, cols))
        throw Refused("its marker says that it is rotated in groups of " + std::to_string(rotation) +
                      ", which cannot be");
    options.set_whole("group_size", group);
    options.set_whole("rotation_group", rotation);
    options.set_choice("codebook", book_names[static_cast<int>(has_codebook ? Book::fixed : Book::none)]);
    options.set_flag("correction", correction != nullptr);
    options.set_choice("bits", bits_names[bits == 6]);
    options.set_choice("group_scale", scale_names[wide_scales]);
    source.dialect = HT_DIALECT_COMFY;
    source.wants = layer.wants_full_precision();
    if (bits == 6 || wide_scales || experts > 1) source.wants |= HT_WANTS_AS_FOUND;
    toolbox::set_matrix(source, rows, cols);
}

}  // namespace halftone::asym_w4a8_int8
