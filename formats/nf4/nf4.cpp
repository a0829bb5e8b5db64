// NF4 in two layouts: ComfyUI's (bnb_nf4), and that of bitsandbytes itself.

#include <bit>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string>
#include <string_view>

#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "nested_absmax.hpp"
#include "nf4_kernels.hpp"
#include "nf4_variants.hpp"

namespace halftone::nf4 {

namespace {

constexpr const char* label_name = "bnb_nf4";
constexpr const char* state_name = ".weight.quant_state.bitsandbytes__nf4";
constexpr size_t longest_number = 24;  // of a float32 in its shortest decimal form

struct DtypeName {
    ht_dtype dtype;
    std::string_view name;
};
constexpr DtypeName dtype_names[] = {
    {HT_DTYPE_F32, "float32"}, {HT_DTYPE_BF16, "bfloat16"}, {HT_DTYPE_F16, "float16"}};

std::string_view name_of(ht_dtype dtype) {
    for (const DtypeName& one : dtype_names)
        if (one.dtype == dtype) return one.name;
    return dtype_names[0].name;  // bitsandbytes dequantizes to it
}

bool is_genuine(const ht_source& source) {
    return source.dialect == HT_DIALECT_BITSANDBYTES;
}

uint64_t blocks_of(const ht_source& source, uint64_t block) {
    const uint64_t n = source.rows * source.cols;
    return n / block + (n % block != 0);
}

// What bitsandbytes keeps beside the tensors. Of one length, whatever the offset: spaces make up for it.
std::string state_text(const ht_source& source, uint64_t block, bool nested, float offset) {
    std::string text = "{\"quant_type\": \"nf4\", \"blocksize\": " + std::to_string(block) +
                       ", \"dtype\": \"" + std::string(name_of(source.dtype)) + "\", \"shape\": [" +
                       std::to_string(source.rows) + ", " + std::to_string(source.cols) + "]";
    if (!nested) return text + "}";
    text += ", \"nested_blocksize\": " + std::to_string(NestedAbsmax::block) +
            ", \"nested_dtype\": \"float32\", \"nested_offset\": ";
    const size_t length = text.size() + longest_number + 1;
    char number[longest_number];
    const auto [end, error] =
        std::to_chars(number, number + longest_number, static_cast<double>(offset));  // as Python prints it
    text.append(number, end).append("}");
    text.resize(length, ' ');
    return text;
}

std::vector<Stored> stored(const ht_source& source, uint64_t block, bool nested) {
    const uint64_t n = source.rows * source.cols, blocks = blocks_of(source, block);
    if (!is_genuine(source))
        return {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {n / 2}},
                {HT_ROLE_ABSMAX, ".absmax", HT_DTYPE_F32, {blocks}}};
    std::vector<Stored> all = {
        {HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {n / 2 + n % 2, 1}},
        {HT_ROLE_ABSMAX, ".weight.absmax", nested ? HT_DTYPE_U8 : HT_DTYPE_F32, {blocks}},
        {HT_ROLE_CODEBOOK, ".weight.quant_map", HT_DTYPE_F32, {16}}};
    if (nested) {
        all.push_back({HT_ROLE_NESTED_ABSMAX,
                       ".weight.nested_absmax",
                       HT_DTYPE_F32,
                       {NestedAbsmax::outer_count(blocks)}});
        all.push_back(
            {HT_ROLE_NESTED_CODEBOOK, ".weight.nested_quant_map", HT_DTYPE_F32, {NestedAbsmax::levels}});
    }
    all.push_back(
        {HT_ROLE_STATE_JSON, state_name, HT_DTYPE_U8, {state_text(source, block, nested, 0).size()}});
    return all;
}

toolbox::ScalarFormat::Parts parts(const ht_source& source, uint64_t block, bool nested,
                                   toolbox::ScaleFit fit) {
    if (source.rank != 2 || source.experts != 1)
        throw Refused("nf4 takes plain matrices, and this has " + std::to_string(source.rank) +
                      " dimensions");
    const uint64_t n = source.rows * source.cols;
    if (n == 0) throw Refused("it has no elements");
    if (source.dialect == HT_DIALECT_LEGACY) throw Refused("nf4 has no legacy layout");
    if (source.wants & (HT_WANTS_ROWS | HT_WANTS_COLUMNS))
        throw Refused("loaders tell the model by this matrix' shape, and nf4 stores it flat");
    const std::string seen = "the block size is " + std::to_string(block) + ", and ";
    if (block % 2 != 0) throw Refused(seen + "two codes share a byte, so it has to be even");
    const bool genuine = is_genuine(source);
    if (genuine && (block < 32 || block > 4096 || !std::has_single_bit(block)))
        throw Refused(seen + "bitsandbytes takes powers of 2 from 32 to 4096");
    if (!genuine && n % block != 0)
        throw Refused(std::to_string(n) + " elements are no multiple of the block size, " +
                      std::to_string(block));

    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts{
        genuine ? table.bitsandbytes : table.comfy,
        genuine ? toolbox::scalar_levels<Bitsandbytes::Element>() : toolbox::scalar_levels<Comfy::Element>(),
        toolbox::ScaleGroups::run(source.rows, source.cols, block),
        genuine ? Bitsandbytes::scale : Comfy::scale, stored(source, block, nested)};
    parts.scaling = genuine ? toolbox::Scaling::multiply : toolbox::Scaling::divide;
    parts.fit = fit;
    parts.input_scale = HT_INPUT_SCALE_NEVER;
    parts.variant = genuine ? 1 : 0;
    parts.packing = genuine ? toolbox::Packing::high_nibble_first : toolbox::Packing::low_nibble_first;
    parts.pre = genuine ? Bitsandbytes::pre : Comfy::pre;
    parts.zeros_have_scales_of_one = false;
    return parts;
}

// ------------------------------------------------------------------------------------------- reading back

void set_shape(ht_source& source, const std::optional<std::vector<int64_t>>& shape, uint64_t n) {
    if (!shape || shape->size() != 2 || (*shape)[0] < 1 || (*shape)[1] < 1 ||
        static_cast<uint64_t>((*shape)[0]) > n ||
        static_cast<uint64_t>((*shape)[0]) * static_cast<uint64_t>((*shape)[1]) != n)
        throw Refused("its shape is said to be none of a matrix of " + std::to_string(n) + " elements");
    source.rank = 2;
    source.shape[0] = source.rows = static_cast<uint64_t>((*shape)[0]);
    source.shape[1] = source.cols = static_cast<uint64_t>((*shape)[1]);
    source.experts = 1;
}

void recognize_genuine(const toolbox::StoredLayer& layer, const ht_tensor& weight, std::string_view text,
                       OptionsOut& options, ht_source& source) {
    const toolbox::JsonMembers state(text);
    const auto block = state.whole("blocksize");
    const auto shape = state.wholes("shape");
    if (state.text("quant_type") != "nf4" || !block || *block < 2)
        throw Refused("its state names no NF4 of known block size");
    if (weight.dtype != HT_DTYPE_U8)
        throw Refused("its codes are stored as another type than U8, which is not read yet");
    const ht_tensor* const absmax = layer.tensor(".weight.absmax");
    if (!absmax) throw Refused("there is no .weight.absmax");
    const bool nested = absmax->dtype == HT_DTYPE_U8;
    if (nested && state.whole("nested_blocksize").value_or(0) != int64_t{NestedAbsmax::block})
        throw Refused("its scales are quantized in blocks of another size than " +
                      std::to_string(NestedAbsmax::block));
    uint64_t n = shape && shape->size() == 2 && (*shape)[0] > 0 && (*shape)[1] > 0
                     ? static_cast<uint64_t>((*shape)[0]) * static_cast<uint64_t>((*shape)[1])
                     : 0;
    if (n / 2 + n % 2 != toolbox::count(weight)) n = 2 * toolbox::count(weight);
    set_shape(source, shape, n);
    source.dialect = HT_DIALECT_BITSANDBYTES;
    source.dtype = HT_DTYPE_F32;
    for (const DtypeName& one : dtype_names)
        if (state.text("dtype") == one.name) source.dtype = one.dtype;
    options.set_whole("block_size", *block);
    options.set_flag("double_quant", nested);
}

// The layout does not say what shape the matrix has. We say it in the marker, as others have; and rows are as
// many as the bias has numbers.
std::optional<std::vector<int64_t>> shape_in(const toolbox::StoredLayer& layer, uint64_t n) {
    for (const char* const key : {"orig_shape", "shape"})
        if (auto shape = layer.marker()->wholes(key)) return shape;
    const ht_tensor* const bias = layer.tensor(".bias");
    const uint64_t rows = bias && bias->rank == 1 ? bias->shape[0] : 0;
    if (rows == 0 || n % rows != 0)
        throw Refused("its codes are stored flat, and neither its marker nor a bias tells the shape");
    return std::vector{static_cast<int64_t>(rows), static_cast<int64_t>(n / rows)};
}

void recognize_comfy(const toolbox::StoredLayer& layer, const ht_tensor& weight, OptionsOut& options,
                     ht_source& source) {
    const auto label = layer.marker() ? layer.marker()->text("format") : std::nullopt;
    if (label != label_name) throw Refused("it is not labelled " + std::string(label_name));
    const ht_tensor* const absmax = layer.tensor(".absmax");
    if (!absmax || absmax->dtype != HT_DTYPE_F32) throw Refused("there is no .absmax in F32");
    if (weight.dtype != HT_DTYPE_U8 || weight.rank != 1)
        throw Refused("its codes are not stored as a flat U8");
    const uint64_t n = 2 * toolbox::count(weight), blocks = toolbox::count(*absmax);
    if (blocks == 0 || n % blocks != 0) throw Refused("its blocks are not of one size");
    source.wants = layer.marker()->flag("full_precision_matrix_mult").value_or(false)
                       ? uint32_t{HT_WANTS_FULL_PRECISION_MM}
                       : 0;
    set_shape(source, shape_in(layer, n), n);
    source.dialect = HT_DIALECT_COMFY;
    source.dtype = weight.dtype;
    options.set_whole("block_size", static_cast<int64_t>(n / blocks));
}

}  // namespace

class Nf4 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"nf4", "1.0.0",
                                     "4-bit NormalFloat in blocks, as ComfyUI or bitsandbytes", "MIT"};

    static constexpr ht_option options[] = {
        whole("block_size", "64", 2, 65536, "consecutive elements that share a scale; blocks may cross rows"),
        flag("double_quant", "true", "with layout = \"bitsandbytes\": scales in 8 bits too"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "layout=comfyui", "", "none",
         "a fork of ComfyUI reads the tensors but fails in use; mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "", "layout=bitsandbytes", "bitsandbytes; transformers; diffusers", "none",
         "the genuine layout"},
    };

    Nf4(const ht_source& source, const Options& options)
        : Nf4(source, static_cast<uint64_t>(options.whole("block_size")),
              is_genuine(source) && options.flag("double_quant"),
              options.choice_as<toolbox::ScaleFit>("scale")) {}

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        if (!nested_) return facts;
        facts.grid_bytes += NestedAbsmax::bytes(groups().count());
        facts.flags |= HT_FACT_NOT_IDEMPOTENT;  // codes are made with other scales than values
        return facts;
    }

    void describe(JsonSink sink) const {
        const auto block = static_cast<int64_t>(block_);
        sink.text("format", label_name).whole("group_size", block);
        sink.begin("params").whole("group_size", block).end();
        if (source_.wants & HT_WANTS_FULL_PRECISION_MM) sink.flag("full_precision_matrix_mult", true);
        const int64_t shape[] = {static_cast<int64_t>(source_.rows), static_cast<int64_t>(source_.cols)};
        sink.wholes("orig_shape", shape);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight) throw Refused("it has no weight");
        if (const auto state = layer.text(state_name))
            recognize_genuine(layer, *weight, *state, options, source);
        else
            recognize_comfy(layer, *weight, options, source);
    }

    void fit_seal(std::byte* grid) const {
        if (!nested_) return;
        const NestedAbsmax nested = nested_in(grid);
        nested.make_map();
        nested.fit(at(grid).post);
        read_nested(grid);
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        for (size_t i = 0; i < companions.size(); ++i)
            if (stored_[i].role == HT_ROLE_CODEBOOK && companions[i]) check_levels(companions[i]);
        if (!nested_) return ScalarFormat::load(companions, grid);
        const NestedAbsmax nested = nested_in(grid);
        for (size_t i = 1; i < companions.size(); ++i) {
            if (!companions[i]) throw Refused("there is no " + stored_[i].name);
            if (stored_[i].role == HT_ROLE_ABSMAX)
                std::memcpy(nested.codes(), companions[i], groups().count());
            if (stored_[i].role == HT_ROLE_NESTED_ABSMAX)
                std::memcpy(nested.outer(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role == HT_ROLE_NESTED_CODEBOOK)
                std::memcpy(nested.map(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role != HT_ROLE_STATE_JSON) continue;
            const toolbox::JsonMembers state(
                {reinterpret_cast<const char*>(companions[i]), static_cast<size_t>(stored_[i].shape[0])});
            const auto offset = state.real("nested_offset");
            if (!offset) throw Refused("its state has no nested_offset");
            nested.offset() = static_cast<float>(*offset);
        }
        read_nested(grid);
        for (uint64_t i = 0; i < groups().count(); ++i) {
            const float post = at(grid).post[i];
            if (!std::isfinite(post)) throw Refused("scale " + std::to_string(i) + " is not finite");
            at(grid).pre[i] = Bitsandbytes::scale(std::fabs(post)).pre;
        }
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        const Stored& one = stored_.at(i);
        const NestedAbsmax nested = nested_in(const_cast<std::byte*>(grid));  // which nobody writes here
        if (one.role == HT_ROLE_CODEBOOK) {
            std::memcpy(out, levels().level.data(), 16 * sizeof(float));
        } else if (one.role == HT_ROLE_STATE_JSON) {
            const std::string text = state_text(source_, block_, nested_, nested_ ? nested.offset() : 0);
            std::memcpy(out, text.data(), text.size());
        } else if (!nested_) {
            ScalarFormat::companion(grid, i, out);
        } else if (one.role == HT_ROLE_ABSMAX) {
            std::memcpy(out, nested.codes(), one.shape[0]);
        } else {
            const float* const from = one.role == HT_ROLE_NESTED_ABSMAX ? nested.outer() : nested.map();
            std::memcpy(out, from, one.shape[0] * sizeof(float));
        }
    }

  private:
    Nf4(const ht_source& source, uint64_t block, bool nested, toolbox::ScaleFit fit)
        : ScalarFormat(parts(source, block, nested, fit)),
          source_(source),
          block_(block),
          nested_(nested),
          stored_(stored(source, block, nested)) {}

    NestedAbsmax nested_in(std::byte* grid) const {
        return {groups().count(), grid + ScalarFormat::facts().grid_bytes};
    }
    void read_nested(std::byte* grid) const {
        const NestedAbsmax nested = nested_in(grid);
        for (uint64_t i = 0; i < groups().count(); ++i)
            at(grid).post[i] = nested.at(i);
    }
    void check_levels(const uint8_t* stored_levels) const {
        float map[16];
        std::memcpy(map, stored_levels, sizeof map);
        for (size_t i = 0; i < 16; ++i)
            if (!(std::fabs(map[i] - levels().level[i]) <= 1e-6f))
                throw Refused("its levels are not those of NF4");
    }

    ht_source source_;
    uint64_t block_;
    bool nested_;
    std::vector<Stored> stored_;
};

}  // namespace halftone::nf4

HALFTONE_FORMAT(halftone::nf4::Nf4)
