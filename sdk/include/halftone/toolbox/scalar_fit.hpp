// The half of a scalar format that finds scales (scalar_format.hpp is the whole): the grid, the largest
// magnitudes of groups and what rule or search makes of them.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/toolbox/rotation.hpp>
#include <halftone/toolbox/scalar_grid.hpp>
#include <halftone/toolbox/scalar_kernels.hpp>
#include <halftone/toolbox/scalar_levels.hpp>
#include <halftone/toolbox/scale_groups.hpp>
#include <halftone/toolbox/scale_option.hpp>
#include <halftone/toolbox/scale_search.hpp>
#include <halftone/toolbox/strips.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class ScalarFit {
  public:
    struct Parts {
        const ScalarKernels& kernels;  // of this CPU level
        const ScalarLevels& levels;
        ScaleGroups groups;
        Scale (*scale)(float amax);  // amax > 0 or the group is zero in a matrix that is not
        std::vector<Stored> stored;  // a weight, one HT_ROLE_SCALE or ABSMAX, markers
        Scaling scaling = Scaling::multiply;
        ScaleFit fit = ScaleFit::absmax;
        int32_t input_scale = HT_INPUT_SCALE_ALLOWED;
        uint16_t variant = 0;  // of the kernels for devices (scalar_kernels.cuh)
        Packing packing = Packing::bytes;
        float (*pre)(float stored) = nullptr;  // of a scale that was read back; NULL: it or its inverse
        bool padded = false;                   // as padded_blocks.hpp does
        RowRotation rotation = {};
        bool zeros_have_scales_of_one = true;  // where the whole matrix is 0; otherwise those of a group of 0
    };

    void begin(std::byte* grid) const {
        const ScaleGroups& g = parts_.groups;
        ScalarGridHeader header{};
        header.rows = g.rows();
        header.cols = g.cols();
        header.group_rows = g.group_rows();
        header.group_cols = g.group_cols();
        header.groups = g.count();
        header.scale_kind = static_cast<int16_t>(g.kind());
        for (uint64_t group = parts_.rotation.group; group > 1; group /= 4)
            ++header.rotation;
        header.levels = level_count();
        header.divide = divides();
        header.packing = parts_.packing;
        header.variant = static_cast<uint8_t>(parts_.variant);
        header.padded = parts_.padded;
        header.search = searches();
        std::memcpy(grid, &header, sizeof header);
        std::memcpy(grid + offset(0), parts_.levels.level.data(), level_count() * sizeof(float));
        std::memcpy(grid + offset(1), parts_.levels.upper.data(), level_count() * sizeof(float));
    }

    // Pass 0 finds the largest magnitude; the others, of a search, sum the errors of candidates.
    void fit_pass(uint32_t pass, const Band& in, const float* column_weight, const std::byte* grid,
                  void* partials) const {
        auto* const slots = static_cast<std::byte*>(partials);
        if (pass == 0)
            return each_piece(in, [&](uint64_t i, uint64_t, const float* x, uint64_t n, uint64_t) {
                float& amax = *reinterpret_cast<float*>(slots + i * partial_bytes());
                amax = std::max(amax, parts_.kernels.largest(x, n));
            });
        const float amax = at(grid).amax[0];
        if (amax == 0) return;
        for (int candidate = 0; candidate < candidates(pass); ++candidate) {
            const Scale scale = parts_.scale(candidate_magnitude(grid, pass, candidate));
            for (uint64_t i = 0; i < in.region.rows; ++i)
                add_error_of_row(in, column_weight, i, scale, error_unit(amax),
                                 reinterpret_cast<double*>(slots + i * partial_bytes())[candidate]);
        }
    }

    void fit_fold(uint32_t pass, const void* partials, uint64_t n, std::byte* grid) const {
        const auto* const slots = static_cast<const std::byte*>(partials);
        const Fitted fitted = at(grid);
        if (pass == 0) {
            for (uint64_t i = 0; i < n; ++i)
                fitted.amax[0] =
                    std::max(fitted.amax[0], *reinterpret_cast<const float*>(slots + i * partial_bytes()));
            set_scale(fitted, 0);
            return fit_seal(grid);
        }
        if (fitted.amax[0] == 0) return;
        // Of pass 2 all are new; its centre was judged in pass 1, and the error of that is kept.
        double least = pass == 1 ? sum(slots, n, unchanged_candidate) : header(grid).least_error;
        float best = pass == 1 ? fitted.amax[0] : header(grid).magnitude;
        for (int candidate = 0; candidate < candidates(pass); ++candidate) {
            const float magnitude = candidate_magnitude(grid, pass, candidate);
            const double error = sum(slots, n, candidate);
            if (!(error < least) || !(magnitude <= FLT_MAX)) continue;
            least = error;
            best = magnitude;
        }
        header(grid).magnitude = best;
        header(grid).least_error = least;
        const Scale scale = parts_.scale(best);
        fitted.pre[0] = scale.pre;
        fitted.post[0] = scale.post;
    }

    void fit_band(const Band& in, const float* column_weight, std::byte* grid) const {
        if (one_scale() || in.region.rows == 0 || in.region.cols == 0) return;
        const Fitted fitted = at(grid);
        const ScaleGroups& g = parts_.groups;
        const uint64_t first = g.at(in.region.row, in.region.col);
        const uint64_t last = g.at(in.region.row + in.region.rows - 1, in.region.col + in.region.cols - 1);
        for (uint64_t group = first; group <= last; ++group)
            fitted.amax[group] = 0;
        each_piece(in, [&](uint64_t, uint64_t, const float* x, uint64_t n, uint64_t group) {
            fitted.amax[group] = std::max(fitted.amax[group], parts_.kernels.largest(x, n));
        });
        for (uint64_t group = first; group <= last; ++group)
            if (searches() && fitted.amax[group] > 0)
                search(in, column_weight, fitted, group);
            else
                set_scale(fitted, group);
    }

    void fit_seal(std::byte* grid) const {
        const Fitted fitted = at(grid);
        const uint64_t n = parts_.groups.count();
        if (!parts_.zeros_have_scales_of_one || parts_.kernels.largest(fitted.amax, n) > 0) return;
        std::fill_n(fitted.pre, n, to_zero());
        std::fill_n(fitted.post, n, 1.0f);
    }

  protected:
    explicit ScalarFit(Parts parts) : parts_(std::move(parts)) {}

    // The fitted arrays, of a grid that may be constant: then nobody writes through them.
    struct Fitted {
        float *pre, *post, *amax;
    };
    Fitted at(const std::byte* grid) const {
        const auto array = [&](size_t i) { return const_cast<float*>(part(grid, i)); };
        return {array(2), array(3), array(4)};
    }

    // Of the whole matrix, where formats on top of this one gather it.
    static float& largest_of_all(std::byte* grid) { return header(grid).magnitude; }

    bool packed() const { return parts_.packing != Packing::bytes; }
    bool searches() const { return parts_.fit == ScaleFit::mse; }
    bool one_scale() const { return parts_.groups.kind() == HT_SCALE_TENSOR; }
    bool divides() const { return parts_.scaling == Scaling::divide; }
    uint32_t level_count() const { return static_cast<uint32_t>(parts_.levels.level.size()); }

    uint64_t partial_bytes() const {
        return !one_scale() ? 0 : searches() ? search_candidates * sizeof(double) : sizeof(float);
    }

    // The `pre` that takes every number to 0.
    float to_zero() const { return divides() ? std::numeric_limits<float>::infinity() : 0.0f; }

    // Where array i of the grid starts; 5 gives its size.
    uint64_t offset(size_t array) const {
        return scalar_grid_offset(level_count(), parts_.groups.count(), static_cast<uint32_t>(array));
    }
    const float* part(const std::byte* grid, size_t array) const {
        return reinterpret_cast<const float*>(grid + offset(array));
    }

    // Pieces of rows that share a scale. Where a view has gaps between its columns, pieces are short enough
    // for a buffer; `x` is then that buffer.
    template <class Visit>
    void each_piece(const Band& out, Visit&& visit) const requires requires(uint64_t n) {
        visit(n, n, n, n);
    }
    { parts_.groups.each_piece(out.region, longest_strip(out), visit); }
    template <class Visit>
    void each_piece(const Band& in, Visit&& visit) const {
        each_piece(in, in, in, visit);
    }
    template <class Visit>
    void each_piece(const Band& in, const Band& out, Visit&& visit) const {
        each_piece(in, out, out, visit);
    }
    template <class Visit>
    void each_piece(const Band& in, const Band& out, const Band& other, Visit&& visit) const {
        const uint64_t most = std::min({longest_strip(in), longest_strip(out), longest_strip(other)});
        parts_.groups.each_piece(in.region, most, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t group) {
            read_strip(in, i, j, n, [&](const float* x) { visit(i, j, x, n, group); });
        });
    }

    const Parts parts_;

  private:
    void set_scale(const Fitted& fitted, uint64_t group) const {
        const Scale scale = parts_.scale(fitted.amax[group]);
        fitted.pre[group] = scale.pre;
        fitted.post[group] = scale.post;
    }

    // ---- the search for one scale of the whole matrix: partial results are one number per candidate and row

    static int candidates(uint32_t pass) { return pass == 1 ? search_candidates : search_fine_candidates; }
    float candidate_magnitude(const std::byte* grid, uint32_t pass, int candidate) const {
        return pass == 1 ? at(grid).amax[0] * search_factor(candidate)
                         : header(grid).magnitude * search_fine_factor(candidate);
    }
    double sum(const std::byte* slots, uint64_t n, int candidate) const {
        double total = 0;
        for (uint64_t i = 0; i < n; ++i)
            total += reinterpret_cast<const double*>(slots + i * partial_bytes())[candidate];
        return total;
    }
    // Grids that are being fitted are not constant, whatever the type of the pointer.
    static ScalarGridHeader& header(const std::byte* grid) {
        return *reinterpret_cast<ScalarGridHeader*>(const_cast<std::byte*>(grid));
    }

    static_assert(search_piece <= strip);

    // Of row i of a band, which may be a part of one: the sum goes on where the part before it ended.
    void add_error_of_row(const Band& in, const float* column_weight, uint64_t i, Scale scale, float unit,
                          double& sum) const {
        for (uint64_t j = 0, n = 0; j < in.region.cols; j += n) {
            n = std::min(in.region.cols - j, search_piece);
            const float* const weight = column_weight ? column_weight + in.region.col + j : nullptr;
            read_strip(in, i, j, n, [&](const float* x) {
                sum += parts_.kernels.squared_error(x, weight, n, scale.pre, scale.post, unit);
            });
        }
    }

    // ---- the search for the scale of a group

    // Visits the pieces of a group: visit(x, weights or NULL, n).
    template <class Visit>
    void each_piece_of(const Band& in, const float* column_weight, uint64_t group, Visit&& visit) const {
        parts_.groups.each_piece_of(group, search_piece, [&](uint64_t row, uint64_t col, uint64_t n) {
            const uint64_t i = row - in.region.row, j = col - in.region.col;
            const float* const weight = column_weight ? column_weight + col : nullptr;
            read_strip(in, i, j, n, [&](const float* x) { visit(x, weight, n); });
        });
    }

    double error(const Band& in, const float* column_weight, uint64_t group, Scale scale, float unit,
                 double most) const {
        double sum = 0;
        each_piece_of(in, column_weight, group, [&](const float* x, const float* weight, uint64_t n) {
            if (sum < most) sum += parts_.kernels.squared_error(x, weight, n, scale.pre, scale.post, unit);
        });
        return sum;
    }

    void search(const Band& in, const float* column_weight, const Fitted& fitted, uint64_t group) const {
        const float amax = fitted.amax[group];
        const Scale best = search_scale(
            amax, parts_.scale,
            [&](Scale scale, double most) {
                return error(in, column_weight, group, scale, error_unit(amax), most);
            },
            [&](Scale scale, float unit) {
                Moments total;
                each_piece_of(in, column_weight, group, [&](const float* x, const float* weight, uint64_t n) {
                    float sums[2];
                    parts_.kernels.moments(x, weight, n, scale.pre, unit, sums);
                    total.with_x += static_cast<double>(sums[0]);
                    total.square += static_cast<double>(sums[1]);
                });
                return total;
            });
        fitted.pre[group] = best.pre;
        fitted.post[group] = best.post;
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
