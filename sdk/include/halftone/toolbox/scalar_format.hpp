// A format that rounds one element at a time to 8 or 4 bits, with a scale per group: most of ht_format,
// written once. The author supplies
//
// 1. an element: a type with static functions marked HT_DEVICE (toolbox/float8.hpp has two),
//        using Code = uint8_t or int8_t;  static constexpr Code lowest;   the code of the smallest value
//        Code encode(float t)             the code that t is rounded to, by the format's own rule; clamps
//        float decode(Code)
//        Code above(Code), below(Code)    of the next greater and smaller value; at the ends the same
//    with neighbours far enough apart that rounding t = x * pre cannot step over one of them;
// 2. a kernel file with the loops for it (toolbox/scalar_kernels.hpp), compiled once per CPU level;
// 3. a rule: from the largest magnitude of a group to its Scale;
// 4. a class that hands these over and adds what is the format's own:
//
//        class Fp8 : public toolbox::ScalarFormat {
//          public:
//            static constexpr PluginInfo info = ...;   static constexpr ht_option options[] = ...;
//            static constexpr ht_label labels[] = ...;
//            Fp8(const ht_source& s, const Options& o) : ScalarFormat({kernels, levels, groups, rule,
//            stored}) {} void describe(JsonSink) const; static void recognize(const ht_layer&, OptionsOut&,
//            ht_source&);
//        };
//        HALFTONE_FORMAT(Fp8)
//
// What follows from it: scales are float32, stored in group order; a matrix of zeros alone gets scales of 1
// and codes of 0; a group whose scale is so small that its inverse overflows counts as zero. Codes are final
// before the seal, so that the host can fit, encode and write a band while it is at hand. The weights of
// columns (`column_weight`) do not move the largest magnitude; a search for the scale of the least squared
// error (scale_search.hpp) honours them.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <halftone/toolbox/kernels_of_plans.hpp>
#include <halftone/toolbox/scalar_fit.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class ScalarFormat : public ScalarFit {
  public:
    Facts facts() const {
        Facts facts;
        facts.stored = parts_.stored;
        facts.granule_rows = parts_.groups.granule_rows();
        facts.granule_bytes = facts.granule_rows * parts_.groups.cols() / (packed() ? 2 : 1);
        facts.grid_bytes = offset(5);
        facts.passes = !one_scale() ? 0 : searches() ? 3 : 1;
        facts.partial_bytes = partial_bytes();
        facts.flags = HT_FACT_ENCODE_BEFORE_SEAL;
        if (parts_.rotation.group > 0) facts.flags |= HT_FACT_ROTATES;
        if (!searches()) facts.flags |= HT_FACT_FOLDS_IN_PARTS;
        if (takes_parts_of_rows()) {
            facts.piece_cols = piece_cols();
            facts.piece_bytes = piece_cols() / (packed() ? 2 : 1);
        }
        facts.input_scale = parts_.input_scale;
        facts.scale_kind = parts_.groups.kind();
        if (facts.scale_kind == HT_SCALE_TILE) facts.scale_rows = parts_.groups.group_rows();
        if (facts.scale_kind == HT_SCALE_TILE || facts.scale_kind == HT_SCALE_RUN)
            facts.scale_cols = parts_.groups.group_cols();
        return facts;
    }

    void rotate(bool, const ht_view& rows, uint64_t n) const {
        parts_.rotation.rotate(rows, n, parts_.groups.cols());
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        const Fitted fitted = at(grid);
        const size_t i = scale_index();
        if (!companions[i]) throw Refused("there is no " + parts_.stored[i].name);
        std::memcpy(fitted.post, companions[i], parts_.groups.count() * sizeof(float));
        for (uint64_t group = 0; group < parts_.groups.count(); ++group) {
            const float post = fitted.post[group];
            if (!(post >= 0) || post > FLT_MAX)
                throw Refused("element " + std::to_string(group) + " of " + parts_.stored[i].name + " is " +
                              std::to_string(post) + ", which is no scale");
            if (parts_.pre)
                fitted.pre[group] = post == 0 ? to_zero() : parts_.pre(post);
            else
                fitted.pre[group] = post < FLT_MIN ? to_zero() : divides() ? post : 1.0f / post;
        }
    }

    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
        const Fitted fitted = at(grid);
        each_piece(in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, uint64_t group) {
            const uint64_t place = i * in.region.cols + j;
            if (!packed()) return encode_piece(fitted, group, x, n, bytes + place);
            uint8_t codes[strip];
            for (uint64_t done = 0, most = 0; done < n; done += most) {
                most = std::min(n - done, strip);
                encode_piece(fitted, group, x + done, most, codes);
                put_nibbles(codes, most, place + done, parts_.packing, bytes);
            }
        });
        // What is left of the last byte counts as a 0.
        const uint64_t n = in.region.rows * in.region.cols;
        if (packed() && n % 2 != 0) put_nibbles(&parts_.levels.zero, 1, n, parts_.packing, bytes);
    }

    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        const Fitted fitted = at(grid);
        each_piece(out, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t group) {
            const uint64_t place = i * out.region.cols + j;
            const float post = fitted.post[group];
            write_strip(out, i, j, n, [&](float* values) {
                if (!packed()) return parts_.kernels.decode(bytes + place, n, post, values);
                uint8_t codes[strip];
                for (uint64_t done = 0, most = 0; done < n; done += most) {
                    most = std::min(n - done, strip);
                    take_nibbles(bytes, place + done, most, parts_.packing, codes);
                    parts_.kernels.decode(codes, most, post, values + done);
                }
            });
        });
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        const Stored& stored = parts_.stored.at(i);
        if (i == scale_index())
            std::memcpy(out, at(grid).post, parts_.groups.count() * sizeof(float));
        else if (stored.role ==
                 HT_ROLE_MARKER)  // of one dimension and single bytes; its length is what counts
            std::fill_n(out, stored.shape.at(0), uint8_t{0});
        else
            throw std::logic_error("no scalar format makes " + stored.name);
    }

    void snap(const std::byte* grid, const Band& in, const Band& out) const {
        const Fitted fitted = at(grid);
        each_piece(in, out, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, uint64_t group) {
            write_strip(out, i, j, n, [&](float* values) {
                if (fitted.pre[group] == to_zero())
                    std::fill_n(values, n, 0.0f * fitted.post[group]);  // with the sign that decoding gives
                else
                    parts_.kernels.snap(x, n, fitted.pre[group], fitted.post[group], values);
            });
        });
    }

    void sigma(const std::byte* grid, const Band& out) const {
        const Fitted fitted = at(grid);
        each_piece(out, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t group) {
            const float post = std::fabs(fitted.post[group]);
            const float slope = fitted.pre[group] == to_zero() || !(post > 0) ? 1.0f : post;
            write_strip(out, i, j, n, [&](float* values) { std::fill_n(values, n, slope); });
        });
    }

    void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const {
        const Fitted fitted = at(grid);
        each_piece(in, lo, hi, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, uint64_t group) {
            write_strip(lo, i, j, n, [&](float* less) {
                write_strip(hi, i, j, n, [&](float* more) {
                    if (fitted.pre[group] == to_zero()) {
                        std::fill_n(less, n, 0.0f);
                        std::fill_n(more, n, 0.0f);
                    } else {
                        parts_.kernels.around(x, n, fitted.pre[group], fitted.post[group], less, more);
                    }
                });
            });
        });
    }

    // Whether scalar_kernels.cuh has a kernel that does what this plan does.
    bool on_device(std::string_view kernel) const { return kernel != "rotate" || parts_.rotation.group > 0; }

    ht_table table(const std::byte* grid) const {
        return {sizeof(ht_table),
                level_count(),
                1,
                static_cast<int32_t>(divides()),
                part(grid, 0),
                part(grid, 1),
                part(grid, 2),
                part(grid, 3),
                nullptr};
    }

  protected:
    explicit ScalarFormat(Parts parts) : ScalarFit(std::move(parts)) {}
    const ScaleGroups& groups() const { return parts_.groups; }
    const ScalarLevels& levels() const { return parts_.levels; }

  private:
    // Where no scale reaches from one part of a row into another, or one is for the whole matrix.
    bool takes_parts_of_rows() const {
        const ScaleGroups& g = parts_.groups;
        return g.kind() != HT_SCALE_ROW && g.granule_rows() == 1 && parts_.rotation.group == 0;
    }
    // Whole groups and whole pieces of what a search adds up.
    uint64_t piece_cols() const {
        return std::lcm(search_piece, one_scale() ? uint64_t{1} : parts_.groups.group_cols());
    }

    void encode_piece(const Fitted& fitted, uint64_t group, const float* x, uint64_t n,
                      uint8_t* codes) const {
        if (fitted.pre[group] == to_zero())
            std::memset(codes, parts_.levels.zero, n);
        else
            parts_.kernels.encode(x, n, fitted.pre[group], codes);
    }

    size_t scale_index() const {
        for (size_t i = 0; i < parts_.stored.size(); ++i)
            if (parts_.stored[i].role == HT_ROLE_SCALE || parts_.stored[i].role == HT_ROLE_ABSMAX) return i;
        throw std::logic_error("a scalar format stores a scale");
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
