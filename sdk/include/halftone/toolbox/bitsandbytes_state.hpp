// The layout of bitsandbytes: what it keeps beside the codes of 4 bits, in tensors and as JSON.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/toolbox/nested_absmax.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// The type of codes, its levels in how many blocks of what matrix.
struct BitsandbytesState {
    std::string_view type;  // "nf4"
    uint64_t block = 64;
    ht_dtype dtype = HT_DTYPE_F32;  // to which it dequantizes
    uint64_t rows = 0, cols = 0;
    bool nested = false;

    uint64_t elements() const { return rows * cols; }
    uint64_t blocks() const { return elements() / block + (elements() % block != 0); }
    std::string name() const { return ".weight.quant_state.bitsandbytes__" + std::string(type); }

    // Of one length, whatever the offset of nested scales: spaces make up for it.
    std::string text(float offset = 0) const {
        std::string text = "{\"quant_type\": \"" + std::string(type) +
                           "\", \"blocksize\": " + std::to_string(block) + ", \"dtype\": \"" +
                           std::string(dtype_name(dtype)) + "\", \"shape\": [" + std::to_string(rows) + ", " +
                           std::to_string(cols) + "]";
        if (!nested) return text + "}";
        text += ", \"nested_blocksize\": " + std::to_string(NestedAbsmax::block) +
                ", \"nested_dtype\": \"float32\", \"nested_offset\": ";
        const size_t length = text.size() + longest_number + 1;
        char number[longest_number];
        // As Python prints it.
        const auto [end, error] = std::to_chars(number, number + longest_number, static_cast<double>(offset));
        text.append(number, end).append("}");
        text.resize(length, ' ');
        return text;
    }

    std::vector<Stored> stored() const {
        std::vector<Stored> all = {
            {HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {elements() / 2 + elements() % 2, 1}},
            {HT_ROLE_ABSMAX, ".weight.absmax", nested ? HT_DTYPE_U8 : HT_DTYPE_F32, {blocks()}},
            {HT_ROLE_CODEBOOK, ".weight.quant_map", HT_DTYPE_F32, {16}}};
        if (nested) {
            all.push_back({HT_ROLE_NESTED_ABSMAX,
                           ".weight.nested_absmax",
                           HT_DTYPE_F32,
                           {NestedAbsmax::outer_count(blocks())}});
            all.push_back(
                {HT_ROLE_NESTED_CODEBOOK, ".weight.nested_quant_map", HT_DTYPE_F32, {NestedAbsmax::levels}});
        }
        all.push_back({HT_ROLE_STATE_JSON, name(), HT_DTYPE_U8, {text().size()}});
        return all;
    }

    // Of a layer with codes of this type; nothing if it has none. Throws Refused if it makes no sense.
    static std::optional<BitsandbytesState> of(const StoredLayer& layer, std::string_view type) {
        BitsandbytesState result;
        result.type = type;
        const auto text = layer.text(result.name());
        if (!text) return std::nullopt;
        const JsonMembers state(*text);
        const auto block = state.whole("blocksize");
        if (state.text("quant_type") != type || !block || *block < 2)
            throw Refused("its state names no codes of known block size");
        result.block = static_cast<uint64_t>(*block);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight) throw Refused("there is no .weight");
        // "quant_storage" views the same bytes as another type.
        if (bytes(*weight) <= count(*weight) && weight->dtype != HT_DTYPE_U8)
            throw Refused("its codes are stored as a type that no writer views them as");
        const ht_tensor* const absmax = layer.tensor(".weight.absmax");
        if (!absmax) throw Refused("there is no .weight.absmax");
        result.nested = absmax->dtype == HT_DTYPE_U8;
        if (result.nested && state.whole("nested_blocksize").value_or(0) != int64_t{NestedAbsmax::block})
            throw Refused("its scales are quantized in blocks of another size than " +
                          std::to_string(NestedAbsmax::block));
        const uint64_t most = 2 * bytes(*weight);
        const auto shape = state.wholes("shape");
        const bool two = shape && shape->size() == 2 && (*shape)[0] > 0 && (*shape)[1] > 0;
        result.rows = two ? static_cast<uint64_t>((*shape)[0]) : 0;
        result.cols = two ? static_cast<uint64_t>((*shape)[1]) : 0;
        const bool fits = two && result.rows <= most && result.cols <= most / result.rows;
        if (!fits || result.elements() + result.elements() % 2 != most)
            throw Refused("its state tells no shape of a matrix of " + std::to_string(most) + " codes");
        for (const DtypeName& one : dtype_names)
            if (state.text("dtype") == one.name) result.dtype = one.dtype;
        for (const Stored& one : result.stored())
            if (const ht_tensor* const found = layer.tensor(one.name);
                found && found != weight && found->dtype != one.dtype)
                throw Refused(one.name + " is not stored in the type that it has in this layout");
        return result;
    }

  private:
    static constexpr size_t longest_number = 24;  // of a float32 in its shortest decimal form

    struct DtypeName {
        ht_dtype dtype;
        std::string_view name;
    };
    static constexpr DtypeName dtype_names[] = {
        {HT_DTYPE_F32, "float32"}, {HT_DTYPE_BF16, "bfloat16"}, {HT_DTYPE_F16, "float16"}};

    static std::string_view dtype_name(ht_dtype dtype) {
        for (const DtypeName& one : dtype_names)
            if (one.dtype == dtype) return one.name;
        return dtype_names[0].name;
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
